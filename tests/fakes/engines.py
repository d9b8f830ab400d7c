"""The relay engines that this machine can run, by name: always the pure one, the native one if built."""

import importlib.util
from functools import partial

from worker.relay.pure import PureEngine
from worker.telemetry.metrics import HELLO_BUCKETS, LIFE_BUCKETS, SETUP_BUCKETS


def engines():
    found = {"pure": PureEngine}
    if importlib.util.find_spec("worker.relay.native._loop"):
        from worker.relay.native import NativeEngine

        found["native"] = partial(NativeEngine, SETUP_BUCKETS, LIFE_BUCKETS, HELLO_BUCKETS)
    return found


ENGINES = engines()
