"""The values of the engine contract: counters, the kill switch, and the choice of an engine."""

import sys
from types import ModuleType, SimpleNamespace

from cluster.reasons import End
from worker.relay.engine import Flow
from worker.relay.probe import choose, main
from worker.relay.pure import PureEngine
from worker.tls.openssl import FunctionMissing


def test_counters_are_numbers_that_others_may_write_in_place():
    flow = Flow()
    flow.up_bytes += 3
    memoryview(flow.counters)[1] = 2**40
    assert (flow.up_bytes, flow.down_bytes) == (3, 2**40)


def test_the_first_kill_wins_and_is_told_once():
    flow, told = Flow(), []
    flow.attach(lambda: told.append(flow.killed))
    flow.kill(End.DRAINED)
    flow.kill(End.MAX_AGE)
    assert (flow.killed, told) == (End.DRAINED, [End.DRAINED])


def test_who_takes_over_a_killed_flow_is_told_at_once_and_who_let_go_never():
    flow, told = Flow(), []
    flow.attach(lambda: told.append("before"))
    flow.detach()
    flow.kill(End.DRAINED)
    flow.attach(lambda: told.append("late"))
    assert told == ["late"]


def test_without_the_extension_the_pure_engine_is_chosen(monkeypatch):
    monkeypatch.setitem(sys.modules, "worker.relay.native", None)
    assert choose()[0].name == "pure"


def test_the_extension_is_preferred(monkeypatch):
    native = ModuleType("worker.relay.native")
    native.NativeEngine = lambda *bounds: SimpleNamespace(name="native")
    monkeypatch.setitem(sys.modules, "worker.relay.native", native)
    assert choose()[0].name == "native"


def test_a_library_without_the_functions_is_no_reason_to_fail(monkeypatch):
    def lacking(*bounds):
        raise FunctionMissing("no such function in OpenSSL 9: SSL_read")

    native = ModuleType("worker.relay.native")
    native.NativeEngine = lacking
    monkeypatch.setitem(sys.modules, "worker.relay.native", native)
    assert choose()[0].name == "pure"


def test_whoever_asks_is_told_the_name_alone_and_the_reason_aside(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "worker.relay.native", None)
    main()
    told = capsys.readouterr()
    assert told.out == "pure\n"
    assert "worker.relay.native" in told.err


def test_the_engine_of_choice_needs_no_reason(monkeypatch, capsys):
    native = ModuleType("worker.relay.native")
    native.NativeEngine = lambda *_: PureEngine()  # any: its name is all that is asked
    monkeypatch.setitem(sys.modules, "worker.relay.native", native)
    main()
    assert capsys.readouterr() == ("pure\n", "")
