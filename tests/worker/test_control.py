"""The worker's side of its link, against a real bus with the test as the node."""

import hashlib

import msgpack
import msgspec
import pytest
import trio

from cluster.bus import connect, serve
from cluster.codec import MAX_ITEMS, encode
from cluster.messages import (
    WIRE_VERSION,
    Ack,
    Close,
    Drain,
    Hello,
    Metrics,
    Nack,
    Offer,
    Query,
    Refusal,
    Register,
    WorkerStatus,
    pack,
    unpack,
)
from cluster.names import ServiceName
from cluster.sections import manifest_digest
from tests.fakes.pki import Pki
from tests.fakes.rig import (
    Linked,
    allow,
    at,
    deny,
    eventually,
    make_world,
    offer,
    rig,
    snapshot,
    sni,
    workshop,
)
from worker import control as controlling
from worker.control import Control
from worker.listeners import Listeners

WEB, BILLING = ServiceName(name="web"), ServiceName(name="billing")


@pytest.fixture(scope="module")
def pki():
    return Pki()


@pytest.fixture
async def node():
    async with rig() as made:
        yield made


def shot(node, pki, *rules, port=8443, linked=True):
    services = [Linked("billing", at(1))] if linked else []
    return snapshot(pki.bundle, [node.listener(port)], *services, rules=rules)


def served(node, port=8443):
    """What is served for billing's SNI, if anything."""
    gateway = node.world.current.view.gateways.get(("127.0.0.1", port))
    return gateway and gateway.table.find(sni("billing"))


async def test_hello_says_who_and_what_is_held(pki):
    async with rig() as node:
        assert isinstance(await node.offer(shot(node, pki)), Ack)
        node.control.greet()
        hello = await node.hear(Hello)
    assert (hello.sender, hello.incarnation) == ("0", "i1")
    assert hello.have == node.control._have
    assert hello.have.digest == manifest_digest(hello.held)


async def test_an_offer_is_applied_then_acknowledged(node, pki):
    await node.keys(pki.service("billing"))
    answer = await node.offer(shot(node, pki))
    assert isinstance(answer, Ack)
    assert served(node).service == BILLING
    status = await node.status(lambda status: status.generation == 1)
    assert (status.index, status.pid, status.missing_leaves) == (0, 1, 0)
    assert node.value("lockgate_worker_snapshot_generation", worker="0") == 1


async def test_sections_that_are_held_need_not_be_sent_again(node, pki):
    await node.offer(shot(node, pki, allow("web", "billing")))
    complete = offer(shot(node, pki, deny("web", "billing")), 2)
    changed = {name: complete.sections[name] for name in ("policy",)}
    await node.say(msgspec.structs.replace(complete, sections=changed))
    assert (await node.hear(Ack, Nack)).id == complete.id
    assert not node.world.current.view.policy_of(BILLING).decide(WEB).allowed


async def test_a_section_that_is_neither_sent_nor_held_is_missed(node, pki):
    complete = offer(shot(node, pki))
    await node.say(msgspec.structs.replace(complete, sections={}))
    nack = await node.hear(Nack)
    assert "the section is missing" in {problem.message for problem in nack.problems}


async def test_the_same_content_is_acknowledged_without_work(node, pki):
    await node.keys(pki.service("billing"))
    await node.offer(shot(node, pki))
    target = served(node)
    assert isinstance(await node.offer(shot(node, pki)), Ack)
    assert served(node) is target
    assert node.control.status().generation == 2


def corrupted(good, how):
    match how:
        case "digest":
            return msgspec.structs.replace(
                good, id=msgspec.structs.replace(good.id, digest="0" * 64)
            )
        case "bytes":
            sections = good.sections | {"policy": good.sections["policy"] + b"\xc0"}
            return msgspec.structs.replace(good, sections=sections)
        case "items":
            return _resealed(good, "listeners", msgpack.packb([None] * (MAX_ITEMS + 1)))
        case "types":
            return _resealed(good, "listeners", encode([{"node": 1}]))
    raise AssertionError(how)


def _resealed(good, name, body):
    manifest = good.manifest | {name: hashlib.sha256(body).hexdigest()}
    digest = manifest_digest(manifest)
    return Offer(
        id=msgspec.structs.replace(good.id, digest=digest),
        manifest=manifest,
        sections=good.sections | {name: body},
    )


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("digest", "as announced"),
        ("bytes", "do not have the section's digest"),
        ("items", "exceeds max_array_len"),
        ("types", "not a "),
    ],
)
async def test_a_snapshot_that_cannot_be_right_is_refused_and_the_old_view_stays(
    node, pki, how, reason
):
    await node.keys(pki.service("billing"))
    await node.offer(shot(node, pki, allow("web", "billing")))
    before = node.world.current.view
    await node.say(corrupted(offer(shot(node, pki, deny("web", "billing")), 2), how))
    nack = await node.hear(Ack, Nack)
    assert isinstance(nack, Nack)
    assert reason in str(nack.problems)
    assert node.world.current.view is before
    assert isinstance(await node.offer(shot(node, pki)), Ack)


async def test_a_snapshot_that_is_not_whole_is_refused_with_every_reason(node, pki):
    broken = shot(node, pki)
    bare = msgspec.structs.replace(broken, endpoints=(), listeners=(broken.listeners[0],) * 2)
    nack = await node.offer(bare)
    assert len(nack.problems) == 2


async def test_a_bug_in_taking_leaves_keeps_the_old_ones_and_the_worker(node, pki, monkeypatch):
    await node.keys(pki.service("billing"))
    await node.offer(shot(node, pki))
    before = served(node).tls
    with monkeypatch.context() as patched:
        patched.setattr(controlling, "compile_view", broken)
        await node.keys(pki.service("billing"))
        answer = await node.ask(Query(request=1, what="connections"))
        assert answer.items == ()
        assert served(node).tls is before
    assert isinstance(await node.offer(shot(node, pki, allow("web", "billing"))), Ack)
    assert served(node).tls is not before


def broken(*_):
    raise ZeroDivisionError("a bug")


async def test_a_bug_in_applying_is_a_nack_and_the_worker_lives(node, pki, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("oops")

    with monkeypatch.context() as patched:
        patched.setattr(controlling, "compile_view", fail)
        nack = await node.offer(shot(node, pki))
    assert [problem.message for problem in nack.problems] == ["ZeroDivisionError: oops"]
    assert isinstance(await node.offer(shot(node, pki)), Ack)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (encode((WIRE_VERSION + 1, Drain(grace_seconds=1))), f"wire version {WIRE_VERSION + 1}"),
        (b"\xc1 not msgpack", "not msgpack"),
        (encode((WIRE_VERSION, {"type": "Unheard"})), "not a known message"),
        (pack(Register(definitions=())), "does not take Register"),
    ],
)
async def test_what_is_not_understood_is_refused_and_nothing_else_is_lost(node, pki, body, reason):
    await node.bus.send(node.peer, body)
    refusal = await node.hear(Refusal)
    assert reason in refusal.reason
    assert isinstance(await node.offer(shot(node, pki)), Ack)


async def test_keys_make_a_service_served(node, pki):
    await node.offer(shot(node, pki))
    assert served(node) is None
    await node.status(lambda status: status.missing_leaves == 1)
    await node.keys(pki.service("billing"))
    await node.status(lambda status: status.missing_leaves == 0)
    assert served(node) is not None


async def test_keys_replace_what_was_there(node, pki):
    await node.keys(pki.service("billing"))
    await node.offer(shot(node, pki))
    await node.keys(pki.service("other"))
    await node.status(lambda status: status.missing_leaves == 1)


async def test_a_leaf_of_no_use_is_told_as_missing(node, pki, capsys):
    await node.offer(shot(node, pki))
    bad = msgspec.structs.replace(pki.service("billing"), key_pem=b"junk")
    await node.keys(bad)
    await eventually(lambda: "its leaf is of no use" in capsys.readouterr().out)
    assert served(node) is None
    assert isinstance(await node.offer(shot(node, pki)), Ack)


def enter(node, count):
    meters = node.world.metrics.service("egress", "terminating", "billing")
    entries = []
    for _ in range(count):
        entry = node.world.live.add(gateway="egress", kind="terminating", generation=1, started=0.0)
        entry.routed(BILLING, "sni", meters)
        entries.append(entry)
    return entries


async def test_queries_are_answered_in_pages(node):
    enter(node, 5)
    seen, cursor = [], ""
    while True:
        query = Query(request=7, what="connections", cursor=cursor, limit=2)
        answer = await node.ask(query)
        assert (answer.request, answer.error) == (7, "")
        seen += [item["id"] for item in answer.items]
        cursor = answer.cursor
        if not cursor:
            break
    assert seen == [f"n1/0/{number}" for number in range(1, 6)]


async def test_a_query_for_something_else_gets_an_error(node):
    answer = await node.ask(Query(request=8, what="weather"))
    assert (answer.request, "weather" in answer.error) == (8, True)


async def test_close_ends_those_and_counts_each_once(node):
    first, second = enter(node, 2)
    await node.say(Close(connections=("n1/0/2", "n1/1/1", "elsewhere/0/1")))
    await node.say(Close(connections=("n1/0/2",)))
    await node.ask(Query(request=1, what="connections"))
    assert first.ended_by is None
    assert second.ended_by == "closed_by_operator"
    assert node.value("lockgate_connections_revoked_total", cause="operator") == 1


async def test_drain_reaches_the_worker(node):
    await node.say(Drain(grace_seconds=7.5))
    await eventually(lambda: node.drained == [7.5])


@pytest.fixture
def one_status_an_hour(monkeypatch):
    monkeypatch.setattr(controlling, "STATUS_SECONDS", 3600.0)


@pytest.mark.usefixtures("one_status_an_hour")
async def test_draining_is_told_at_once(node):
    await node.status(lambda status: not status.draining)
    node.control.announce_draining()
    await node.status(lambda status: status.draining)


async def test_metrics_come_by_themselves(node):
    pushed = await node.pushed_metrics()
    assert "lockgate_connections_opened" in {family.name for family in pushed.families}


async def test_after_a_refusal_it_introduces_itself_again(node, monkeypatch):
    monkeypatch.setattr(controlling, "_AFTER_REFUSAL_SECONDS", 0.01)
    await node.say(Refusal(reason="say Hello first"))
    assert (await node.hear(Hello)).incarnation == "i1"


async def test_a_node_that_comes_back_is_greeted_before_anything_else(tmp_path):
    world, endpoint = make_world(), f"ipc://{tmp_path}/w"

    async def first_words(count):
        async with serve(endpoint) as bus:
            with trio.fail_after(30):
                return [unpack((await anext(bus.incoming)).body) for _ in range(count)]

    async with connect(endpoint) as link, trio.open_nursery() as nursery:
        listeners = Listeners(nursery, lambda _: None)
        control = Control(
            world, workshop(world), listeners, pid=1, incarnation="i", drain=lambda _: None
        )
        nursery.start_soon(control.run, link)
        for _ in range(2):
            words = await first_words(3)
            assert isinstance(words[0], Hello)
            assert {type(word) for word in words[1:]} <= {WorkerStatus, Metrics, Hello}
            await eventually(lambda: not link.link.is_connected)
            control.announce_draining()  # news while nobody is there are not kept for later
        nursery.cancel_scope.cancel()
