"""A node that holds an enrolment token joins the bus by it: once, in time, and only to enrol."""

import pytest
import structlog
import trio

from cluster.bus import CurveClient, CurveServer, connect, keygen, serve
from cluster.messages import Enrol, Enrolled, Hello, Refusal, pack, unpack
from coordinator.distributor import Distributor
from coordinator.enrolment import (
    MOST_TOLD,
    TELL_SECONDS,
    Enrolment,
    allowing,
    enrolling,
    expired_tokens,
    identity_of,
)
from coordinator.metrics import Metrics
from coordinator.store.memory import MemoryStore
from coordinator.store.records import Put
from coordinator.store.tables import BUS_KEYS, BUS_TOKENS
from coordinator.store.wanted import Wanted
from worker.node.enrol import Enrolment as Asking
from worker.node.enrol import enrol

NOW = 1_800_000_000.0


@pytest.fixture
async def wanted():
    return await Wanted.open(MemoryStore())


@pytest.fixture
async def token(wanted):
    pair = keygen()
    value = {"public_key": pair.public_key, "expires": NOW + 60}
    await wanted.commit([Put(table=BUS_TOKENS, key="gw1", value=value)])
    return pair


@pytest.fixture
async def bus(wanted):
    """A coordinator's end of the bus: its address and its public key."""
    keys, enrolment = keygen(), Enrolment(wanted, lambda: NOW)
    curve = CurveServer(secret_key=keys.secret_key, allow=enrolment.identity)

    async def never(*_):
        raise AssertionError

    distributor = Distributor(
        sign=never, register=never, metrics=Metrics(version="1"), enrol=enrolment.enrol
    )
    async with serve("tcp://127.0.0.1:0", curve=curve) as server, trio.open_nursery() as nursery:
        nursery.start_soon(distributor.run, server)
        yield server.endpoint, keys.public_key
        nursery.cancel_scope.cancel()


def client(pair, server_key):
    return CurveClient(
        secret_key=pair.secret_key, public_key=pair.public_key, server_key=server_key
    )


@pytest.fixture
def asking(bus, tmp_path):
    def asking(pair, own):
        file = tmp_path / "token"
        file.touch()
        return Asking(curve=client(pair, bus[1]), file=file, public_key=own.public_key)

    return asking


async def test_a_token_puts_the_nodes_key_on_the_list_and_is_used_up(wanted, token, bus, asking):
    own = keygen()
    asked = asking(token, own)
    with trio.fail_after(30):
        await enrol(asked, (bus[0],), is_up=lambda: False)
    assert wanted.state.get(BUS_KEYS, "gw1").value == {"public_key": own.public_key}
    assert wanted.state.get(BUS_TOKENS, "gw1").value["used_by"] == own.public_key
    assert not asked.file.exists()
    with trio.fail_after(30):  # the answer may have been lost
        await enrol(asking(token, own), (bus[0],), is_up=lambda: False)
    again = asking(token, keygen())
    with trio.move_on_after(1):
        await enrol(again, (bus[0],), is_up=lambda: False)
    assert wanted.state.get(BUS_KEYS, "gw1").value == {"public_key": own.public_key}
    assert again.file.exists()


async def test_a_token_is_good_for_nothing_else(wanted, token, bus):
    async with connect(bus[0], curve=client(token, bus[1])) as link:
        with trio.fail_after(30):
            await link.wait_connected(0)
            await link.send(pack(Hello(sender="gw1", incarnation="1", software="1")))
            assert unpack(await link.receive()) == Refusal(
                reason="an enrolment token is good for nothing else"
            )
            await link.send(pack(Enrol(public_key="no key")))
            answer = unpack(await link.receive())
    assert isinstance(answer, Enrolled)
    assert answer.error
    assert wanted.state.get(BUS_TOKENS, "gw1") is not None


async def test_of_two_who_hold_it_one_is_let_in(wanted, token):
    keys, answers = [keygen().public_key, keygen().public_key], []
    enrolment = Enrolment(wanted, lambda: NOW)

    async def ask(key):
        answers.append(await enrolment.enrol("gw1", key))

    async with trio.open_nursery() as nursery:
        for key in keys:
            nursery.start_soon(ask, key)
    first, second = sorted(answers)
    assert (first, second) == ("", "the enrolment token for node gw1 is used up")


async def test_of_two_nodes_that_bring_one_key_one_is_let_in(wanted, token):
    """At the same moment: the key is who a peer of the bus is, so it must not be two nodes'."""
    value = {"public_key": keygen().public_key, "expires": NOW + 60}
    await wanted.commit([Put(table=BUS_TOKENS, key="gw2", value=value)])
    key, answers = keygen().public_key, {}
    enrolment = Enrolment(wanted, lambda: NOW)

    async def ask(node):
        answers[node] = await enrolment.enrol(node, key)

    async with trio.open_nursery() as nursery:
        for node in ("gw1", "gw2"):
            nursery.start_soon(ask, node)
    (let_in,) = wanted.state.table(BUS_KEYS)
    (refused,) = {"gw1", "gw2"} - {let_in}
    assert answers[let_in] == ""
    assert answers[refused] == f"this key is already the one of node {let_in}"


async def test_who_asks_twice_at_once_with_one_key_is_let_in_twice(wanted, token):
    """As when an answer was lost: the second asks again while the first is still being written down."""
    key, answers = keygen().public_key, []
    enrolment = Enrolment(wanted, lambda: NOW)

    async def ask():
        answers.append(await enrolment.enrol("gw1", key))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        nursery.start_soon(ask)
    assert answers == ["", ""]


async def test_a_token_is_over_in_time(wanted, token):
    assert identity_of(wanted.state, token.public_key, NOW + 59.9) == "enrol/gw1"
    assert identity_of(wanted.state, token.public_key, NOW + 60) is None
    late = Enrolment(wanted, lambda: NOW + 60)
    assert "no enrolment token" in await late.enrol("gw1", keygen().public_key)


async def test_a_key_is_one_node(wanted, token):
    own = keygen().public_key
    await wanted.commit(allowing(wanted.state, "other", own))
    enrolment = Enrolment(wanted, lambda: NOW)
    assert "already the one of node other" in await enrolment.enrol("gw1", own)
    assert expired_tokens(wanted.state, NOW + 59) == []
    assert [one.key for one in expired_tokens(wanted.state, NOW + 60)] == ["gw1"]


def test_no_nodes_name_is_one_that_enrols():
    assert enrolling("enrol/gw1") == "gw1"
    assert enrolling("gw1") == ""


async def test_a_node_that_is_on_the_list_already_needs_no_token(asking, bus):
    asked = asking(keygen(), keygen())
    with trio.fail_after(30):
        await enrol(asked, (bus[0],), is_up=lambda: True)
    assert not asked.file.exists()


async def test_the_log_tells_of_keys_that_are_not_let_in_but_of_no_flood(wanted):
    now = [NOW]
    enrolment = Enrolment(wanted, lambda: now[0])
    keys = [keygen().public_key for _ in range(MOST_TOLD + 5)]
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            assert enrolment.identity(keys[0]) is None
        assert [line["public_key"] for line in logs] == [keys[0]]
        assert keys[0] in logs[0]["mend"]
        for key in keys:
            enrolment.identity(key)
        assert len(logs) == MOST_TOLD
        now[0] += TELL_SECONDS
        enrolment.identity(keys[-1])
        assert logs[-1]["public_key"] == keys[-1]
