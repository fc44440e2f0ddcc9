"""JSON logs on standard error: one object a line, with the id of the request or job it belongs to."""

import logging.config
import sys
from typing import Any

import structlog
from structlog.types import EventDict, WrappedLogger


def add_job_id(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Name the RQ job that a line belongs to, when there is one."""
    # Not imported: in gunicorn's master that would load network modules before its workers patch them for gevent.
    rq = sys.modules.get("rq")
    job = rq.get_current_job() if rq else None
    if job is not None:
        event["job_id"] = job.id
    return event


_SHARED: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.PositionalArgumentsFormatter(),
    add_job_id,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
]
# Libraries that tell each of their steps; our own jobs say what they did.
_TALKATIVE = ("amqtt", "fontTools", "rq.cron", "rq.worker", "transitions")


def configure(*, level: str) -> None:
    """Send structlog and the standard library's loggers through one JSON formatter."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "json": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": _SHARED,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        structlog.processors.JSONRenderer(),
                    ],
                }
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {name: {"level": "WARNING"} for name in _TALKATIVE},
        }
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
