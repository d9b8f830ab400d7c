"""The values of the engine contract: counters, the kill switch, and the choice of an engine."""

import sys
from types import ModuleType

from cluster.reasons import End
from worker.relay.engine import Flow
from worker.relay.probe import choose


def test_counters_are_numbers_that_others_may_write_in_place():
    flow = Flow()
    flow.up_bytes += 3
    memoryview(flow.counters)[1] = 2**40
    assert (flow.up_bytes, flow.down_bytes) == (3, 2**40)


def test_the_first_kill_wins_and_is_told_once():
    flow, told = Flow(), []
    with flow.watch(lambda: told.append(flow.killed)):
        flow.kill(End.DRAINED)
        flow.kill(End.MAX_AGE)
    assert (flow.killed, told) == (End.DRAINED, [End.DRAINED])


def test_who_watches_a_killed_flow_is_told_at_once_and_who_stopped_watching_never():
    flow, told = Flow(), []
    with flow.watch(lambda: told.append("before")):
        pass
    flow.kill(End.DRAINED)
    with flow.watch(lambda: told.append("late")):
        assert told == ["late"]


def test_every_watcher_is_told():
    flow, told = Flow(), []
    with flow.watch(lambda: told.append("frame")), flow.watch(lambda: told.append("engine")):
        flow.kill(End.DRAINED)
    assert told == ["frame", "engine"]


def test_without_the_extension_the_pure_engine_is_chosen(monkeypatch):
    monkeypatch.setitem(sys.modules, "worker.relay.native", None)
    assert choose().name == "pure"


def test_the_extension_is_preferred(monkeypatch):
    native = ModuleType("worker.relay.native")
    native.NativeEngine = type("NativeEngine", (), {"name": "native"})
    monkeypatch.setitem(sys.modules, "worker.relay.native", native)
    assert choose().name == "native"
