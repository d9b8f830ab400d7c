"""Which relay engine this process uses, decided once at start.

The native engine where its extension was built and everything that it needs was found, else the
pure one. `name` of the chosen engine is for the start log and for `lockgate_relay_engine_info`.

Belongs here: the choice. Never here: a reason to change horses later.
"""

from importlib import import_module

from .engine import RelayEngine
from .pure import PureEngine


def choose() -> RelayEngine:
    """A new engine: native if `worker.relay.native` is there and works here, else pure."""
    try:
        native = import_module("worker.relay.native")
    except ImportError:
        return PureEngine()
    engine: RelayEngine = native.NativeEngine()
    return engine


if __name__ == "__main__":
    print(choose().name)
