"""Which relay engine this process uses, decided once at start.

The native engine where its extension was built and everything that it needs was found, else the
pure one, and then why. `name` of the chosen engine is for the start log and for
`lockgate_relay_engine_info`.

Belongs here: the choice. Never here: a reason to change horses later.
"""

from importlib import import_module

import structlog

from .engine import RelayEngine
from .pure import PureEngine

log = structlog.get_logger()


def choose() -> RelayEngine:
    """A new engine, named in the log; if it is the pure one, with the reason."""
    try:
        native = import_module("worker.relay.native")
        engine: RelayEngine = native.NativeEngine()
    except (ImportError, LookupError) as error:
        log.warning("relay engine", engine=PureEngine.name, because=str(error))
        return PureEngine()
    log.info("relay engine", engine=engine.name)
    return engine
