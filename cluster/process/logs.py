"""Logging of daemons: structlog to stderr, as lines for people or as JSON.

Belongs here: the set-up, once at start. Never here: what is logged.
"""

import logging
import sys

import structlog

from cluster.errors import ConfigError, Problem


def configure(level: str, log_format: str, **bound: object) -> None:
    """Log at `level` and above; `log_format` is `json` or `console`; `bound` is in every line.

    Raises `ConfigError` for a level that there is not.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ConfigError((Problem(path="log_level", message=f"there is no level {level!r}"),))
    renderer = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**bound)
