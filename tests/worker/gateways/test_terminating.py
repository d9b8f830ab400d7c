"""What a caller gets from a terminating gateway, good input and bad."""

import contextlib
import gc
import os
import ssl
from datetime import timedelta

import msgspec
import pytest
import trio

from cluster.messages import Ack
from cluster.reasons import RevocationCause
from tests.fakes.pki import (
    TRUST_DOMAIN,
    Pki,
    bundle,
    client_context,
    server_context,
    service_uri,
    write,
)
from tests.fakes.rig import (
    PATIENCE_SECONDS,
    PATIENT,
    Linked,
    allow,
    at,
    black_hole,
    deny,
    eventually,
    exchange,
    files,
    snapshot,
    sni,
    start_upstream,
    tls_client,
)
from tests.harness.programs import free_port
from tests.worker.gateways.conftest import QUICK, waits_for_a_limit
from tests.worker.gateways.records import as_records
from worker.sweeper import sweep

UNRECOGNIZED_NAME = b"\x15\x03\x03\x00\x02\x02\x70"
ALLOW = (allow("web", "*"), allow("api", "*"))


class Egress:
    """A terminating gateway in front of one upstream per linked service."""

    def __init__(self, node, pki, nursery):
        self.node, self.pki, self.nursery = node, pki, nursery
        self.port = node.listen()
        self.linked = []
        self.good = None
        self.streams = []

    async def serve(self, *more, rules=ALLOW):
        """Billing, which works, and more; by these intentions."""
        if self.good is None:
            self.good = await start_upstream(self.nursery)
        self.linked = [Linked("billing", self.good.endpoint), *more]
        await self.node.keys(*(self.pki.service(service.name) for service in self.linked))
        await self.decide(*rules)

    async def decide(self, *rules, default_allow=False, roots=None):
        """Other intentions for the same services, and other roots."""
        shot = snapshot(
            bundle(*(roots or [self.pki])),
            [self.node.listener(self.port)],
            *self.linked,
            rules=rules,
            default_allow=default_allow,
        )
        assert isinstance(await self.node.offer(shot), Ack)

    async def call(self, context, service="billing"):
        return self.closing(await tls_client(self.port, context, sni(service)))

    def closing(self, stream):
        """`stream`, which is closed when the test is over."""
        self.streams.append(stream)
        return stream

    async def connect(self):
        """A bare connection."""
        return self.closing(await trio.open_tcp_stream("127.0.0.1", self.port))


@pytest.fixture
async def egress(node, pki):
    async with trio.open_nursery() as nursery:
        made = Egress(node, pki, nursery)
        yield made
        for stream in made.streams:
            await trio.aclose_forcefully(stream)
        nursery.cancel_scope.cancel()


@pytest.fixture
def web(trust, pki):
    return trust(pki.service("web"))


async def until_end(stream):
    """What still comes, and how it ends: in order, cut (without close_notify), or with a reset."""
    got = b""
    try:
        with trio.fail_after(PATIENCE_SECONDS):
            while chunk := await stream.receive_some():
                got += chunk
    except trio.BrokenResourceError as broken:
        return got, "cut" if isinstance(broken.__cause__, ssl.SSLError) else "reset"
    return got, "in order"


async def test_a_permitted_caller_reaches_the_outside(egress, web):
    await egress.serve()
    stream = await egress.call(web)
    await exchange(stream, b"x" * 300_000)
    (entry,) = egress.node.world.live
    assert entry.describe(0.0)["source"] == "web"
    await stream.aclose()
    await egress.node.ended("finished")
    node = egress.node
    labels = {"gateway": "egress", "kind": "terminating", "service": "billing"}
    assert node.value("lockgate_connection_bytes_total", **labels, direction="up") == 300_000
    assert node.value("lockgate_connection_bytes_total", **labels, direction="down") == 300_000
    assert node.value("lockgate_connections_active", **labels) == 0
    decided = {"gateway": "egress", "service": "billing", "source": "web", "decision": "allow"}
    assert node.value("lockgate_authorization_decisions_total", **decided) == 1


async def test_both_directions_end_on_their_own(egress, web):
    async def answer_at_the_end(stream):
        received = 0
        async for chunk in stream:
            received += len(chunk)
        await stream.send_all(b"got %d" % received)

    upstream = await start_upstream(egress.nursery, answer_at_the_end)
    await egress.serve(Linked("late", upstream.endpoint))
    stream = await egress.call(web, "late")
    await stream.send_all(b"12345")
    with contextlib.suppress(trio.BrokenResourceError):
        await stream.unwrap()
    await eventually(lambda: upstream.accepted == 1 and upstream.open == 0)


# --- the hello


@pytest.mark.parametrize("cut", [1, 4, 5, 6, 9, 43, 100, 200, -1])
async def test_a_hello_that_is_cut_gets_no_byte(egress, raw, hello_bytes, beside, cut):
    await egress.serve()
    async with beside(egress.port):
        got, _ = await raw(egress.port, hello_bytes(sni("billing"))[:cut])
        assert got == b""
        await egress.node.ended("bad_hello")
    assert egress.node.value("lockgate_client_hello_rejected_total", reason="closed") == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "not_tls"),
        (b"\x00" * 64, "not_tls"),
        (b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", "malformed"),
        (b"\x16\x03\x01\x40\x00\x01\x00\xff\xff" + b"x" * 70_000, "too_large"),
    ],
    ids=["http", "zeros", "another message", "huge"],
)
async def test_garbage_gets_no_byte(egress, raw, beside, data, reason):
    await egress.serve()
    async with beside(egress.port):
        got, _ = await raw(egress.port, data)
        assert got == b""
        await egress.node.ended("bad_hello")
    assert egress.node.value("lockgate_client_hello_rejected_total", reason=reason) == 1
    assert egress.good.accepted == 1  # the good one beside


async def test_a_hello_of_too_many_records_gets_no_byte(egress, raw, hello_bytes, beside):
    await egress.serve()
    async with beside(egress.port):
        got, _ = await raw(egress.port, as_records(hello_bytes(sni("billing")), 1))
        assert got == b""
        await egress.node.ended("bad_hello")
    rejected = egress.node.value("lockgate_client_hello_rejected_total", reason="too_many_records")
    assert rejected == 1


@pytest.mark.parametrize("name", [None, "nobody.default.dc1.internal.x", "BILLING.example.com"])
async def test_a_name_that_nothing_serves_gets_an_alert(egress, raw, hello_bytes, beside, name):
    await egress.serve()
    async with beside(egress.port):
        assert await raw(egress.port, hello_bytes(name)) == (UNRECOGNIZED_NAME, False)
        await egress.node.ended("no_route")
    reason = "unknown_sni" if name else "no_sni"
    assert egress.node.value("lockgate_client_hello_rejected_total", reason=reason) == 1


async def test_a_tls_client_reads_why_its_name_is_refused(egress, web, alert_of):
    await egress.serve()
    assert await alert_of(egress.port, web, sni("nobody")) == "TLSV1_UNRECOGNIZED_NAME"


async def test_a_service_without_its_leaf_is_not_served_yet(egress, web, alert_of):
    await egress.serve()
    await egress.node.keys()
    await egress.node.status(lambda status: status.missing_leaves == 1)
    assert await alert_of(egress.port, web, sni("billing")) == "TLSV1_UNRECOGNIZED_NAME"


async def test_a_hello_in_other_letters_names_the_same_service(egress, web):
    await egress.serve()
    stream = egress.closing(await tls_client(egress.port, web, sni("billing").upper()))
    await exchange(stream)


@waits_for_a_limit
async def test_a_hello_that_drips_runs_into_the_deadline(egress, hello_bytes, beside):
    await egress.serve()
    async with beside(egress.port):
        stream = await egress.connect()
        with contextlib.suppress(trio.BrokenResourceError), trio.move_on_after(5):
            for at_byte in range(200):
                await stream.send_all(hello_bytes(sni("billing"))[at_byte : at_byte + 1])
                await trio.sleep(0.02)
                if egress.node.endings():
                    break
        await egress.node.ended("hello_timeout")
        got, _ = await until_end(stream)
        assert got == b""
    assert egress.node.value("lockgate_client_hello_rejected_total", reason="timeout") == 1


@waits_for_a_limit
async def test_nothing_at_all_runs_into_the_deadline(egress, beside):
    await egress.serve()
    async with beside(egress.port):
        stream = await egress.connect()
        await egress.node.ended("hello_timeout")
        assert await until_end(stream) == (b"", "in order")
        await stream.aclose()


class Slicing(trio.abc.HalfCloseableStream):
    """A client's transport that sends what it is given first by other rules."""

    def __init__(self, inner, slices):
        self.inner, self.slices = inner, slices

    async def send_all(self, data):
        slices, self.slices = self.slices, lambda rest: [rest]
        for part in slices(bytes(data)):
            await self.inner.send_all(part)
            await trio.sleep(0.001)

    async def wait_send_all_might_not_block(self):
        await self.inner.wait_send_all_might_not_block()

    async def send_eof(self):
        await self.inner.send_eof()

    async def receive_some(self, max_bytes=None):
        return await self.inner.receive_some(max_bytes)

    async def aclose(self):
        await self.inner.aclose()


def segments(size):
    return lambda data: [data[at_byte : at_byte + size] for at_byte in range(0, len(data), size)]


@pytest.mark.parametrize(
    "slices",
    [
        lambda data: [*segments(1)(data[:100]), data[100:]],
        segments(7),
        segments(100),
        lambda data: [as_records(data, 100)],
        lambda data: segments(50)(as_records(data, 60)),
    ],
    ids=["bytes", "sevens", "hundreds", "records", "records in segments"],
)
async def test_a_hello_in_pieces_is_a_whole_hello(egress, web, slices):
    await egress.serve()
    inner = await egress.connect()
    inner.setsockopt(6, 1, 1)
    stream = trio.SSLStream(Slicing(inner, slices), web, server_hostname=sni("billing"))
    await exchange(stream)


# --- the client's certificate


SPIFFE_ELSEWHERE = "spiffe://99999999-2222-3333-4444-555555555555.consul/ns/default/dc/dc1/svc/web"


def bad_leaf(case, pki, foreign):
    match case:
        case "none":
            return None
        case "expired":
            return pki.service("web", life=timedelta(hours=-1))
        case "foreign":
            return foreign.service("web")
        case "self-signed":
            return pki.service("web", self_signed=True)
        case "no uri":
            return pki.leaf(dns=["web"])
        case "two uris":
            return pki.leaf(service_uri("web"), service_uri("api"))
        case "other trust domain":
            return pki.leaf(SPIFFE_ELSEWHERE)
        case "not a service":
            return pki.leaf(f"spiffe://{TRUST_DOMAIN}/gateway/mesh/dc/dc1")
        case "not spiffe":
            return pki.leaf("https://example.com/web")
    raise AssertionError(case)


CERTIFICATES = [
    ("none", "TLSV13_ALERT_CERTIFICATE_REQUIRED"),
    ("expired", "SSLV3_ALERT_CERTIFICATE_EXPIRED"),
    ("foreign", "TLSV1_ALERT_UNKNOWN_CA"),
    ("self-signed", "TLSV1_ALERT_UNKNOWN_CA"),
    ("no uri", "SSLV3_ALERT_BAD_CERTIFICATE"),
    ("two uris", "SSLV3_ALERT_BAD_CERTIFICATE"),
    ("other trust domain", "SSLV3_ALERT_BAD_CERTIFICATE"),
    ("not a service", "SSLV3_ALERT_BAD_CERTIFICATE"),
    ("not spiffe", "SSLV3_ALERT_BAD_CERTIFICATE"),
]


@pytest.mark.parametrize(("case", "alert"), CERTIFICATES)
async def test_who_cannot_prove_who_it_is_reads_why(
    egress, pki, foreign, trust, alert_of, beside, case, alert
):
    await egress.serve()
    await egress.decide(default_allow=True)  # it is not for want of a permission
    async with beside(egress.port):
        context = trust(bad_leaf(case, pki, foreign))
        assert await alert_of(egress.port, context, sni("billing")) == alert
        await egress.node.ended("client_certificate")
    assert egress.node.closed("client_certificate", "billing") == 1
    assert egress.good.accepted == 1  # the good one beside


@waits_for_a_limit
async def test_a_handshake_that_stops_runs_into_the_deadline(egress, hello_bytes, beside):
    await egress.serve()
    async with beside(egress.port):
        stream = await egress.connect()
        await stream.send_all(hello_bytes(sni("billing")))
        await egress.node.ended("handshake_timeout")
        await stream.aclose()


async def test_a_client_too_old_for_us_fails_in_the_handshake(egress, web, beside):
    await egress.serve()
    web.minimum_version = web.maximum_version = ssl.TLSVersion.TLSv1_2
    web.set_ciphers("ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")
    async with beside(egress.port):
        with pytest.raises(trio.BrokenResourceError):
            await egress.call(web)
        await egress.node.ended("handshake_failed")


# --- intentions


async def test_denied_is_a_handshake_and_then_nothing(egress, web):
    await egress.serve(rules=[deny("web", "billing"), allow("*", "*")])
    stream = await egress.call(web)
    got, _ = await until_end(stream)
    assert got == b""
    await stream.aclose()
    await egress.node.ended("denied")
    assert egress.good.accepted == 0
    decided = {"gateway": "egress", "service": "billing", "source": "web", "decision": "deny"}
    assert egress.node.value("lockgate_authorization_decisions_total", **decided) == 1


async def test_nobody_is_let_in_by_default(egress, web, trust, pki):
    await egress.serve(rules=[])
    stream = await egress.call(web)
    assert (await until_end(stream))[0] == b""
    await egress.node.ended("denied")
    await egress.decide(allow("web", "billing"))
    await exchange(await egress.call(web))


async def test_the_source_of_a_caller_that_policy_does_not_know_is_no_label(egress, trust, pki):
    await egress.serve()
    stream = await egress.call(trust(pki.service("made-up-name")))
    assert (await until_end(stream))[0] == b""
    await egress.node.ended("denied")
    decided = {"gateway": "egress", "service": "billing", "source": "other", "decision": "deny"}
    assert egress.node.value("lockgate_authorization_decisions_total", **decided) == 1


async def test_a_changed_intention_ends_exactly_the_denied_pair(egress, web, trust, pki):
    other = await start_upstream(egress.nursery)
    await egress.serve(Linked("orders", other.endpoint))
    doomed = await egress.call(web)
    same_source = await egress.call(web, "orders")
    same_destination = await egress.call(trust(pki.service("api")))
    survivors = (same_source, same_destination)
    for stream in (doomed, *survivors):
        await exchange(stream)
    with trio.fail_after(30):
        await egress.decide(deny("web", "billing"), *ALLOW)
        assert await until_end(doomed) == (b"", "reset")
    await egress.node.ended("intention_revoked")
    for stream in survivors:
        await exchange(stream)
    assert egress.node.endings() == {"intention_revoked": 1}
    cause = RevocationCause.INTENTION.value
    assert egress.node.value("lockgate_connections_revoked_total", cause=cause) == 1


async def test_the_upstream_of_a_revoked_connection_sees_no_clean_end(egress, web):
    ends = []

    async def watch(stream):
        await stream.send_all(b"hello")
        ends.append(await until_end(stream))

    upstream = await start_upstream(egress.nursery, watch)
    await egress.serve(Linked("db", upstream.endpoint))
    stream = await egress.call(web, "db")
    assert await stream.receive_some() == b"hello"
    await egress.decide()
    await eventually(lambda: ends == [(b"", "reset")])


async def test_it_reaches_connections_to_a_service_that_is_no_longer_linked(egress, web):
    await egress.serve()
    stream = await egress.call(web)
    await exchange(stream)
    egress.linked = []
    await egress.decide(*ALLOW)
    await exchange(stream)  # what was permitted still is
    await egress.decide(deny("web", "billing"), *ALLOW)
    assert await until_end(stream) == (b"", "reset")
    await egress.node.ended("intention_revoked")


async def test_a_connection_that_still_dials_is_revoked_too(egress, web):
    with black_hole() as hole:
        await egress.serve(Linked("silent", at(hole), timeout=30))
        stream = await egress.call(web, "silent")
        await eventually(
            lambda: [entry.describe(0)["state"] for entry in egress.node.world.live] == ["dial"]
        )
        with trio.fail_after(30):
            await egress.decide()
            assert await until_end(stream) == (b"", "reset")
        await egress.node.ended("intention_revoked")


async def test_a_permission_withdrawn_between_hello_and_decision_counts(egress, web):
    await egress.serve()
    inner = await egress.connect()
    release, held = trio.Event(), trio.Event()
    stream = trio.SSLStream(Holding(inner, release, held), web, server_hostname=sni("billing"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.do_handshake)
        await held.wait()  # the hello is there, the client's Finished is not
        await eventually(lambda: [entry.state for entry in egress.node.world.live] == ["handshake"])
        await egress.decide()
        release.set()
    assert (await until_end(stream))[0] == b""
    await egress.node.ended("denied")
    assert egress.good.accepted == 0


class Holding(Slicing):
    """Sends the first flight, and holds the second until released."""

    def __init__(self, inner, release, held):
        super().__init__(inner, None)
        self.release, self.held, self.flights = release, held, 0

    async def send_all(self, data):
        self.flights += 1
        if self.flights == 2:
            self.held.set()
            await self.release.wait()
        await self.inner.send_all(data)


async def test_a_service_unlinked_between_hello_and_decision_is_gone(egress, web):
    await egress.serve()
    inner = await egress.connect()
    release, held = trio.Event(), trio.Event()
    stream = trio.SSLStream(Holding(inner, release, held), web, server_hostname=sni("billing"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.do_handshake)
        await held.wait()
        egress.linked = []
        await egress.decide(*ALLOW)
        release.set()
    assert (await until_end(stream))[0] == b""
    await egress.node.ended("no_route")


async def test_a_caller_whose_certificate_expires_is_put_out(egress, trust, pki):
    await egress.serve()
    egress.nursery.start_soon(sweep, egress.node.world)
    stream = await egress.call(trust(pki.service("web", life=timedelta(hours=1))))
    await exchange(stream)
    egress.node.world.wall_clock.ahead_seconds = 3600
    assert await until_end(stream) == (b"", "reset")
    await egress.node.ended("certificate_expired")
    cause = RevocationCause.EXPIRY.value
    assert egress.node.value("lockgate_connections_revoked_total", cause=cause) == 1


@pytest.fixture
def leaked(tmp_path, pki):
    """Another root, for `roots`, and a context of its own caller."""
    made = Pki("leaked root")
    return made, client_context(tmp_path, made.service("web"), pki.pem + made.pem)


async def test_a_removed_root_puts_out_those_who_rest_on_it_and_nobody_else(
    egress, web, pki, leaked
):
    other, context = leaked
    await egress.serve()
    await egress.decide(*ALLOW, roots=[pki, other])
    good, bad = await egress.call(web), await egress.call(context)
    for stream in (good, bad):
        await exchange(stream)
    await egress.decide(*ALLOW)
    assert await until_end(bad) == (b"", "reset")
    await egress.node.ended("root_distrusted")
    assert egress.node.value("lockgate_connections_revoked_total", cause="certificate") == 1
    await exchange(good, b"still here")
    with pytest.raises(trio.BrokenResourceError):
        await exchange(await egress.call(context))
    await egress.node.ended("client_certificate")
    await exchange(await egress.call(web))


async def test_a_root_that_is_removed_during_the_handshake_lets_nobody_in(egress, pki, leaked):
    other, context = leaked
    await egress.serve()
    await egress.decide(*ALLOW, roots=[pki, other])
    release, held = trio.Event(), trio.Event()
    inner = Holding(await egress.connect(), release, held)
    stream = trio.SSLStream(inner, context, server_hostname=sni("billing"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.do_handshake)
        await held.wait()
        await egress.decide(*ALLOW)
        release.set()
    assert (await until_end(stream))[0] == b""
    await egress.node.ended("root_distrusted")
    assert egress.good.accepted == 0


async def test_a_root_that_is_added_changes_nothing_for_who_is_here(egress, web, pki, leaked):
    await egress.serve()
    stream = await egress.call(web)
    await exchange(stream)
    await egress.decide(*ALLOW, roots=[pki, leaked[0]])
    await exchange(stream)


async def test_who_was_let_in_for_a_while_is_put_out_at_its_end_without_a_coordinator(egress, web):
    """Nothing is offered after the first snapshot."""
    clock = egress.node.world.wall_clock
    boxed = msgspec.structs.replace(ALLOW[0], expires_at=clock() + 3600)
    await egress.serve(rules=(boxed,))
    egress.nursery.start_soon(sweep, egress.node.world)
    stream = await egress.call(web)
    await exchange(stream)
    clock.ahead_seconds = 3600
    assert await until_end(stream) == (b"", "reset")
    await egress.node.ended("intention_revoked")
    cause = RevocationCause.EXPIRY.value
    assert egress.node.value("lockgate_connections_revoked_total", cause=cause) == 1
    assert (await until_end(await egress.call(web)))[0] == b""
    await egress.node.ended("denied")


async def test_a_worker_that_starts_late_lets_nobody_in_by_a_rule_that_has_ended(egress, web):
    boxed = msgspec.structs.replace(ALLOW[0], expires_at=egress.node.world.wall_clock() - 1)
    await egress.serve(rules=(boxed,))
    assert (await until_end(await egress.call(web)))[0] == b""
    await egress.node.ended("denied")


async def test_a_coordinator_whose_clock_is_ahead_withdraws_it_for_the_same_cause(egress, web):
    clock = egress.node.world.wall_clock
    boxed = msgspec.structs.replace(ALLOW[0], expires_at=clock() + 3600)
    await egress.serve(rules=(boxed,))
    stream = await egress.call(web)
    await exchange(stream)
    clock.ahead_seconds = 3597
    await egress.decide()
    assert await until_end(stream) == (b"", "reset")
    cause = RevocationCause.EXPIRY.value
    assert egress.node.value("lockgate_connections_revoked_total", cause=cause) == 1


# --- the upstream


async def reset_by(egress, web, service, end):
    """The client's handshake succeeds, then it is reset: never a clean close."""
    stream = await egress.call(web, service)
    assert await until_end(stream) == (b"", "reset")
    await stream.aclose()
    await egress.node.ended(end)
    assert egress.node.closed(end, service) == 1


def closed_port():
    """Nobody listens there, and nobody comes: others do not get it, and none dials from it."""
    return free_port()


async def test_an_upstream_that_refuses_is_a_reset(egress, web, beside):
    await egress.serve(Linked("down", at(closed_port())))
    async with beside(egress.port):
        await reset_by(egress, web, "down", "dial_refused")


async def test_an_upstream_without_an_address_is_a_reset(egress, web, beside):
    await egress.serve(Linked("lost", at(1, "no-such-host.invalid")))
    async with beside(egress.port):
        await reset_by(egress, web, "lost", "dial_refused")


async def test_an_upstream_that_is_silent_is_a_reset(egress, web, beside):
    with black_hole() as hole:
        await egress.serve(Linked("silent", at(hole), timeout=0.3))
        async with beside(egress.port):
            await reset_by(egress, web, "silent", "dial_timeout")


@pytest.mark.parametrize("endpoints", [(), (at(1, healthy=False),)])
async def test_no_healthy_instance_is_a_reset(egress, web, beside, endpoints):
    await egress.serve(Linked("ill", *endpoints))
    async with beside(egress.port):
        await reset_by(egress, web, "ill", "no_endpoint")


async def test_the_next_instance_is_tried(egress, web):
    upstream = await start_upstream(egress.nursery)
    await egress.serve(Linked("pair", at(closed_port(), weight=100), upstream.endpoint))
    for _ in range(3):
        stream = await egress.call(web, "pair")
        await exchange(stream)


async def test_an_upstream_that_resets_is_passed_on(egress, web, beside):
    async def rude(stream):
        await stream.receive_some(1)
        stream.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # SOL_SOCKET, SO_LINGER
        stream.socket.close()

    upstream = await start_upstream(egress.nursery, rude)
    await egress.serve(Linked("rude", upstream.endpoint))
    async with beside(egress.port):
        stream = await egress.call(web, "rude")
        await stream.send_all(b"x")
        assert await until_end(stream) == (b"", "reset")
        await egress.node.ended("upstream_reset")


# --- TLS to the upstream


@pytest.fixture(scope="module")
def outside():
    """The CA of a service outside the mesh."""
    return Pki("outside root")


@pytest.fixture
def ca_file(outside, tmp_path):
    path = tmp_path / "outside.pem"
    path.write_bytes(outside.pem)
    return path


@pytest.mark.parametrize(
    ("server_name", "names"),
    [
        ("db.example.com", {"dns": ["db.example.com"]}),
        ("db.example.com", {"dns": ["*.example.com"]}),
        ("", {"ips": ["127.0.0.1"]}),
    ],
)
async def test_tls_to_an_upstream_that_proves_its_name(
    egress, web, outside, ca_file, tmp_path, server_name, names
):
    context = server_context(tmp_path, outside.leaf(**names))
    upstream = await start_upstream(egress.nursery, ssl_context=context)
    tls = files(ca_file, server_name=server_name)
    await egress.serve(Linked("saas", upstream.endpoint, tls=tls))
    await exchange(await egress.call(web, "saas"), b"y" * 100_000)


async def test_a_client_certificate_is_shown_where_one_is_given(
    egress, web, outside, ca_file, tmp_path
):
    context = server_context(tmp_path, outside.leaf(dns=["db"]), outside.pem)
    upstream = await start_upstream(egress.nursery, ssl_context=context)
    cert, key = write(tmp_path, "ours", outside.leaf(dns=["gateway"]))
    tls = files(ca_file, cert, key, "db")
    await egress.serve(Linked("saas", upstream.endpoint, tls=tls))
    await exchange(await egress.call(web, "saas"))


@pytest.mark.parametrize(
    ("case", "limits"),
    [
        *((case, PATIENT) for case in ("wrong name", "wrong ca", "expired", "plain")),
        ("silent", QUICK),
    ],
)
async def test_an_upstream_that_proves_nothing_is_a_reset(
    egress, web, beside, pki, outside, ca_file, tmp_path, case
):
    answered = []

    async def speak(stream):
        answered.append(await stream.receive_some(1000))

    async def say_nothing(stream):
        await trio.sleep_forever()

    async def say_http(stream):
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    leaf = {
        "wrong name": lambda: outside.leaf(dns=["elsewhere.example.com"]),
        "wrong ca": lambda: pki.leaf(dns=["db.example.com"]),
        "expired": lambda: outside.leaf(dns=["db.example.com"], life=timedelta(hours=-1)),
    }.get(case)
    if leaf is not None:
        context = server_context(tmp_path, leaf())
        upstream = await start_upstream(egress.nursery, speak, ssl_context=context)
    elif case == "plain":
        upstream = await start_upstream(egress.nursery, say_http)
    else:
        upstream = await start_upstream(egress.nursery, say_nothing)
    await egress.serve(
        Linked("saas", upstream.endpoint, tls=files(ca_file, server_name="db.example.com"))
    )
    async with beside(egress.port):
        await reset_by(egress, web, "saas", "upstream_tls")
    assert b"".join(answered) == b""


async def test_a_missing_ca_file_is_a_reset_and_its_return_is_noticed(
    egress, web, outside, ca_file, tmp_path, beside
):
    context = server_context(tmp_path, outside.leaf(dns=["db"]))
    upstream = await start_upstream(egress.nursery, ssl_context=context)
    await egress.serve(Linked("saas", upstream.endpoint, tls=files(ca_file, server_name="db")))
    text = ca_file.read_bytes()
    ca_file.unlink()
    async with beside(egress.port):
        await reset_by(egress, web, "saas", "upstream_tls")
        ca_file.write_bytes(text)
        await exchange(await egress.call(web, "saas"))


async def test_no_descriptor_stays_open_however_it_ends(
    egress, web, trust, outside, ca_file, tmp_path, raw, hello_bytes
):
    wrong = server_context(tmp_path, outside.leaf(dns=["elsewhere"]))
    stranger = await start_upstream(egress.nursery, ssl_context=wrong)
    services = [
        Linked("down", at(closed_port())),
        Linked("saas", stranger.endpoint, tls=files(ca_file, server_name="db")),
        Linked("secret", at(closed_port())),
    ]
    await egress.serve(*services, rules=[deny("web", "secret"), *ALLOW])

    async def everything():
        for service in ("billing", "down", "saas", "secret"):
            stream = await tls_client(egress.port, web, sni(service))
            with contextlib.suppress(trio.BrokenResourceError):
                await exchange(stream) if service == "billing" else await stream.receive_some()
            await trio.aclose_forcefully(stream)
        for data in (b"junk", hello_bytes(None), hello_bytes(sni("billing"))[:50]):
            await raw(egress.port, data)
        with pytest.raises(trio.BrokenResourceError):
            async with await tls_client(egress.port, trust(None), sni("billing")) as stream:
                await stream.receive_some()
        await egress.node.alone()
        await eventually(lambda: egress.good.open == stranger.open == 0)
        gc.collect()  # what tests before this one have left
        return sum(1 for _ in os.scandir("/proc/self/fd"))

    before = await everything()
    for _ in range(3):
        assert await everything() <= before
