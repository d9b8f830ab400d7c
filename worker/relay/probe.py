"""Which relay engine this process uses, decided once at start.

The native engine where its extension was built and everything that it needs was found, else the
pure one, and then why. `name` of the chosen engine is for the start log and for
`lockgate_relay_engine_info`. `python -m worker.relay.probe` prints it, and why on stderr, for those
who may not import a worker.

Belongs here: the choice. Never here: a reason to change horses later.
"""

import sys
from collections.abc import Sequence
from importlib import import_module

import structlog

from .engine import RelayEngine
from .pure import PureEngine

log = structlog.get_logger()


def choose(
    bounds: Sequence[float] = (),
    life_bounds: Sequence[float] = (),
    hello_bounds: Sequence[float] = (),
) -> tuple[RelayEngine, str]:
    """A new engine, and why it is not the native one: empty if it is.

    `bounds` are those of the histograms that a `Launcher` keeps, in seconds; the others are a porter's, of
    lives in seconds and of hellos in bytes.
    """
    try:
        native = import_module("worker.relay.native")
        engine: RelayEngine = native.NativeEngine(bounds, life_bounds, hello_bounds)
    except (ImportError, LookupError) as error:
        return PureEngine(), str(error)
    return engine, ""


def announce(engine: RelayEngine, why_not_native: str) -> None:
    """The one line of the log that says which engine runs."""
    if why_not_native:
        log.warning("relay engine", engine=engine.name, because=why_not_native)
    else:
        log.info("relay engine", engine=engine.name)


def main() -> None:
    engine, why_not_native = choose()
    print(engine.name)
    if why_not_native:
        print(why_not_native, file=sys.stderr)


if __name__ == "__main__":
    main()
