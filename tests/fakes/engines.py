"""The relay engines that this machine can run, by name: always the pure one, the native one if built."""

from contextlib import suppress
from functools import partial

from worker.relay.pure import PureEngine
from worker.telemetry.metrics import HELLO_BUCKETS, LIFE_BUCKETS, SETUP_BUCKETS


def engines():
    found = {"pure": PureEngine}
    with suppress(ModuleNotFoundError):  # `test_which_engine_runs` says whether it should be there
        from worker.relay.native import NativeEngine

        found["native"] = partial(NativeEngine, SETUP_BUCKETS, LIFE_BUCKETS, HELLO_BUCKETS)
    return found


ENGINES = engines()
