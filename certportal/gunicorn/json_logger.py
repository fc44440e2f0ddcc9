"""gunicorn's own lines in the format of all others."""

from gunicorn.config import Config
from gunicorn.glogging import Logger


class JsonLogger(Logger):  # type: ignore[misc]  # gunicorn has no type hints
    """Hands gunicorn's lines to the root logger, which writes JSON."""

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        for logger in (self.error_log, self.access_log):
            logger.handlers.clear()
            logger.propagate = True
