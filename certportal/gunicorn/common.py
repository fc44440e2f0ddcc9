"""Settings of gunicorn that all planes share; each plane's module imports every name of this one."""

from pathlib import Path

# One greenlet a connection: clients that connect and say nothing cost memory, not a place in a queue.
worker_class = "certportal.gunicorn.worker.Worker"
worker_connections = 10_000
backlog = 2048

# A worker whose loop stands still this long is replaced; a slow client does not make it stand still.
timeout = 60
# Idle keep-alive connections would otherwise hold up every stop.
graceful_timeout = 5

# Also the deadline for the head of a request, the first one included: a client that trickles it is cut off.
keepalive = 15

# It would open a socket in the user's runtime directory, outside the home.
control_socket_disable = True
logger_class = "certportal.gunicorn.json_logger.JsonLogger"
# django-structlog writes a line a request.
accesslog = None

# The workers' heartbeat files: on a disk, a slow flush would look like a dead worker.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  (unlinked at once, mode 0600)
