"""What a client outside gets from an ingress gateway, and what the gateway is inside the mesh.

Behind it is a real terminating gateway on the same worker, or a server that speaks the mesh's TLS by the
standard library, or one that is dialled in plain.
"""

import ssl

import pytest
import trio

from cluster.ingress import CertificateFiles, ListenerTls
from cluster.messages import Query
from cluster.names import ServiceName
from tests.fakes.pki import Pki, server_context, write
from tests.fakes.rig import (
    PATIENCE_SECONDS,
    allow,
    at,
    black_hole,
    deny,
    eventually,
    exchange,
    sni,
    start_upstream,
    tls_client,
)
from tests.worker.gateways.conftest import waits_for_a_limit
from tests.worker.gateways.front import NAMES, served, target, until_end

UNRECOGNIZED_NAME = b"\x15\x03\x03\x00\x02\x02\x70"


async def test_a_client_outside_reaches_a_service_behind_a_terminating_gateway(front):
    await front.behind()
    await front.serve()
    stream = await front.call()
    await exchange(stream, b"x" * 300_000)
    (entry,) = front.live()
    shown = entry.describe(0.0)
    assert (shown["source"], shown["destination"]) == ("front", "billing")
    assert shown["endpoint"] == f"127.0.0.1:{front.egress}"
    (beyond,) = [one for one in front.node.world.live if one.kind == "terminating"]
    assert beyond.describe(0.0)["source"] == "front"
    await stream.aclose()
    await front.node.ended("finished", 2)
    labels = {"gateway": "front", "kind": "ingress", "service": "billing"}
    assert front.node.value("lockgate_connection_bytes_total", **labels, direction="up") == 300_000
    assert front.node.value("lockgate_connections_active", **labels) == 0
    assert front.closed("finished") == 1


async def test_the_server_may_speak_first(front):
    async def greet(stream):
        await stream.send_all(b"220 welcome")
        async for _ in stream:
            pass

    await front.behind(greet)
    await front.serve()
    stream = await front.call()
    with trio.fail_after(PATIENCE_SECONDS):
        assert await stream.receive_some() == b"220 welcome"


async def test_both_directions_end_on_their_own(front):
    async def answer_at_the_end(stream):
        received = 0
        async for chunk in stream:
            received += len(chunk)
        await stream.send_all(b"got %d" % received)

    await front.behind(answer_at_the_end)
    await front.serve()
    stream = await front.call()
    await stream.send_all(b"12345")
    await stream.send_eof()
    assert await until_end(stream) == (b"got 5", "in order")


async def test_a_service_that_speaks_the_meshs_tls_itself(front, pki, tmp_path):
    context = server_context(tmp_path, pki.service("native"), roots=pki.pem)
    upstream = await start_upstream(front.nursery, ssl_context=context)
    front.sets["connect:native"] = (upstream.endpoint,)
    await front.serve(served("native"))
    await exchange(await front.call())
    assert upstream.accepted == 1


@pytest.mark.parametrize("impostor", ["other service", "other root"])
async def test_who_is_not_the_service_gets_no_byte(front, pki, tmp_path, impostor):
    seen = bytearray()

    async def record(stream):
        async for chunk in stream:
            seen.extend(chunk)

    signer = Pki("foreign root") if impostor == "other root" else pki
    leaf = signer.service("somebody" if impostor == "other service" else "native")
    upstream = await start_upstream(
        front.nursery, record, ssl_context=server_context(tmp_path, leaf)
    )
    front.sets["connect:native"] = (upstream.endpoint,)
    await front.serve(served("native"))
    stream = await front.call()
    await stream.send_all(b"secret")
    assert await until_end(stream) == (b"", "reset")
    await front.node.ended("upstream_tls")
    assert seen == b""


async def test_who_speaks_no_tls_gets_no_byte(front):
    upstream = await start_upstream(front.nursery, _speak_first)
    front.sets["connect:native"] = (upstream.endpoint,)
    await front.serve(served("native"))
    assert await until_end(await front.call()) == (b"", "reset")
    await front.node.ended("upstream_tls")


async def _speak_first(stream):
    await stream.send_all(b"HTTP/1.1 400 what?\r\n\r\n")


async def test_the_destination_denies_and_the_client_is_cut_off(front):
    upstream = await front.behind()
    await front.serve(rules=[deny("front", "billing")])
    stream = await front.call()
    assert await until_end(stream) == (b"", "reset")
    await eventually(lambda: front.closed("upstream_reset") == 1, front.node.endings)
    assert front.node.closed("denied", "billing") == 1
    assert upstream.accepted == 0


async def test_a_denial_ends_exactly_the_gateways_connections(front, trust, pki):
    await front.behind()
    await front.serve(rules=[allow("front", "billing"), allow("web", "billing")])
    inside = front.closing(
        await tls_client(front.egress, trust(pki.service("web")), sni("billing"))
    )
    await exchange(inside)
    outside = await front.call()
    await exchange(outside)
    await front.decide(deny("front", "billing"), allow("web", "billing"))
    assert await until_end(outside) == (b"", "reset")
    await exchange(inside, b"still here")
    await eventually(lambda: front.closed("upstream_reset") == 1, front.node.endings)
    assert front.node.closed("intention_revoked", "billing") == 1


class TestPlaintext:
    """Instances that are dialled as they are: the gateway decides."""

    @pytest.fixture
    async def upstream(self, front):
        upstream = await start_upstream(front.nursery)
        front.sets |= {"connect:legacy": (), "plaintext:legacy": (upstream.endpoint,)}
        return upstream

    SHAPE = served("legacy", target("legacy", plaintext="plaintext:legacy"))

    async def test_permitted(self, front, upstream):
        await front.serve(self.SHAPE)
        assert ServiceName(name="legacy") in front.node.world.current.view.policies
        await exchange(await front.call())
        decided = {"gateway": "front", "service": "legacy", "source": "front", "decision": "allow"}
        assert front.node.value("lockgate_authorization_decisions_total", **decided) == 1

    @pytest.mark.parametrize("rules", [(), (deny("front", "legacy"),), (allow("web", "legacy"),)])
    async def test_denied_and_nobody_is_dialled(self, front, upstream, rules):
        await front.serve(self.SHAPE, rules=rules)
        assert await until_end(await front.call()) == (b"", "reset")
        await front.node.ended("denied")
        assert upstream.accepted == 0

    async def test_a_withdrawal_ends_what_is_open(self, front, upstream):
        await front.serve(self.SHAPE)
        stream = await front.call()
        await exchange(stream)
        await front.decide(deny("front", "legacy"))
        assert await until_end(stream) == (b"", "reset")
        await front.node.ended("intention_revoked")

    async def test_why_is_told(self, front, upstream):
        await front.serve(self.SHAPE)
        await exchange(await front.call())
        (entry,) = front.live()
        answer = await front.node.ask(
            Query(request=1, what="connection", arguments={"id": f"n1/0/{entry.number}"})
        )
        assert answer.items[0]["decision"]["allowed"] is True
        assert answer.items[0]["decision"]["rule"]["SourceName"] == "front"

    async def test_beside_instances_of_the_mesh_each_in_its_own_way(self, front, pki, tmp_path):
        context = server_context(tmp_path, pki.service("legacy"), roots=pki.pem)
        inside = await start_upstream(front.nursery, ssl_context=context)
        outside = await start_upstream(front.nursery)
        front.sets |= {
            "connect:legacy": (inside.endpoint,),
            "plaintext:legacy": (outside.endpoint,),
        }
        await front.serve(self.SHAPE)
        for _ in range(40):
            stream = await front.call()
            await exchange(stream)
            await stream.aclose()
        assert inside.accepted + outside.accepted == 40
        assert inside.accepted > 0
        assert outside.accepted > 0


class TestFailover:
    async def test_a_stand_in_serves_while_the_first_has_nobody_healthy(self, front):
        await front.behind()
        front.sets["connect:first"] = (at(1, healthy=False),)
        await front.serve(served("first", target("first"), target("billing")))
        await exchange(await front.call())
        (entry,) = front.live()
        assert entry.describe(0.0)["destination"] == "billing"

    async def test_a_stand_in_serves_when_the_first_cannot_be_reached(self, front):
        await front.behind()
        front.sets["connect:first"] = (at(1),)
        await front.serve(served("first", target("first"), target("billing")))
        await exchange(await front.call())

    async def test_a_redirect_calls_whom_it_names(self, front):
        await front.behind()
        await front.serve(served("old", target("billing")))
        await exchange(await front.call())


@pytest.mark.parametrize(
    ("endpoints", "end"),
    [((), "no_endpoint"), ((at(9, healthy=False),), "no_endpoint"), ((at(1),), "dial_refused")],
)
async def test_nobody_to_call_is_a_reset(front, endpoints, end):
    front.sets["connect:billing"] = endpoints
    await front.serve()
    assert await until_end(await front.call()) == (b"", "reset")
    await front.node.ended(end)


async def test_a_black_hole_times_out(front):
    with black_hole() as port:
        front.sets["connect:billing"] = (at(port),)
        await front.serve(served("billing", target("billing", connect_timeout_seconds=0.5)))
        assert await until_end(await front.call()) == (b"", "reset")
    await front.node.ended("dial_timeout")


async def test_without_its_leaf_the_gateway_serves_nobody_and_says_so(front, pki):
    await front.behind()
    await front.serve(leaves=[pki.service("billing")])
    assert await until_end(await front.call()) == (b"", "reset")
    await front.node.ended("no_route")
    assert front.node.control.status().missing_leaves == 1


class TestTls:
    async def test_the_gateways_own_leaf_is_shown(self, front):
        await front.behind()
        await front.serve(tls=ListenerTls())
        stream = await front.call_in_tls("billing.ingress.consul")
        await exchange(stream, b"y" * 100_000)
        (entry,) = front.live()
        assert entry.describe(0.0)["sni"] == "billing.ingress.consul"

    async def test_whoever_asks_for_no_name_gets_the_only_service(self, front):
        await front.behind()
        await front.serve(tls=ListenerTls())
        context = ssl.create_default_context(cadata=front.pki.pem.decode())
        context.check_hostname = False
        stream = front.closing(await tls_client(front.port, context, None))
        await exchange(stream)

    async def test_plain_text_is_no_hello(self, front, raw):
        await front.behind()
        await front.serve(tls=ListenerTls())
        assert await raw(front.port, b"GET / HTTP/1.1\r\n\r\n") == (b"", False)
        await front.node.ended("bad_hello")

    async def test_a_name_leads_to_its_service(self, front, pki, tmp_path):
        await front.behind()
        context = server_context(tmp_path, pki.service("native"), roots=pki.pem)

        async def shout(stream):
            async for chunk in stream:
                await stream.send_all(chunk.upper())

        upstream = await start_upstream(front.nursery, shout, ssl_context=context)
        front.sets["connect:native"] = (upstream.endpoint,)
        shape = (served("billing"), served("native", hosts=("db.example.com",)))
        await front.serve(*shape, tls=ListenerTls())
        await exchange(await front.call_in_tls("billing.ingress.dc1.consul"))
        stream = await front.call_in_tls("db.example.com")
        await stream.send_all(b"loud")
        assert await stream.receive_some() == b"LOUD"

    @pytest.mark.parametrize("name", ["other.example.com", None])
    async def test_a_name_that_nobody_has_gets_an_alert(self, front, raw, hello_bytes, name):
        await front.behind()
        shape = (served("billing"), served("native", hosts=("db.example.com",)))
        front.sets["connect:native"] = ()
        await front.serve(*shape, tls=ListenerTls())
        assert await raw(front.port, hello_bytes(name), end=False) == (UNRECOGNIZED_NAME, False)
        await front.node.ended("no_route")

    async def test_the_only_service_may_have_hosts_and_then_others_have_nothing(
        self, front, raw, hello_bytes
    ):
        await front.behind()
        await front.serve(served("billing", hosts=("db.example.com",)), tls=ListenerTls())
        await exchange(await front.call_in_tls("db.example.com"))
        answer = await raw(front.port, hello_bytes("billing.ingress.consul"), end=False)
        assert answer == (UNRECOGNIZED_NAME, False)

    async def test_files_are_shown_and_read_again(self, front, tmp_path):
        public = Pki("public root")
        paths = [str(one) for one in write(tmp_path, "site", public.leaf(dns=["first.test"]))]
        files = CertificateFiles(cert_file=paths[0], key_file=paths[1])
        await front.behind()
        await front.serve(tls=ListenerTls(files=files))
        await exchange(await front.call_in_tls("first.test", public.pem))
        write(tmp_path, "site", public.leaf(dns=["second-one.test"]))
        await exchange(await front.call_in_tls("second-one.test", public.pem))
        (tmp_path / "site.key").write_bytes(b"half writ")
        await exchange(await front.call_in_tls("second-one.test", public.pem))

    async def test_files_that_are_not_there_cost_the_client_its_handshake(self, front, alert_of):
        files = CertificateFiles(cert_file="/nowhere.crt", key_file="/nowhere.key")
        await front.behind()
        await front.serve(tls=ListenerTls(files=files))
        context = ssl.create_default_context(cadata=front.pki.pem.decode())
        assert await alert_of(front.port, context, "db.example.com") == "TLSV1_ALERT_INTERNAL_ERROR"
        await front.node.ended("handshake_failed")

    async def test_a_service_may_have_a_certificate_of_its_own(self, front, tmp_path):
        public = Pki("public root")
        cert, key = write(tmp_path, "own", public.leaf(dns=["own.test"]))
        own = CertificateFiles(cert_file=str(cert), key_file=str(key))
        await front.behind()
        shape = (
            served("billing"),
            served("old", target("billing"), hosts=("own.test",), files=own),
        )
        await front.serve(*shape, tls=ListenerTls())
        await exchange(await front.call_in_tls("own.test", public.pem))
        await exchange(await front.call_in_tls("billing.ingress.consul"))

    async def test_versions_and_suites_are_kept_to(self, front, alert_of):
        await front.behind()
        suites = ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",)
        await front.serve(tls=ListenerTls(max_version="TLSv1_2", cipher_suites=suites))
        stream = await front.call_in_tls("db.example.com")
        assert stream.cipher()[0] == "ECDHE-ECDSA-AES256-GCM-SHA384"
        assert stream.version() == "TLSv1.2"
        await front.serve(tls=ListenerTls(min_version="TLSv1_3"))
        old = ssl.create_default_context(cadata=front.pki.pem.decode())
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        told = await alert_of(front.port, old, "db.example.com")
        assert told == "TLSV1_ALERT_PROTOCOL_VERSION"

    async def test_what_cannot_be_spoken_costs_the_service_and_is_told(self, front):
        await front.behind()
        await front.serve(tls=ListenerTls(max_version="TLSv1_1"))
        (problem,) = front.node.world.current.view.problems
        assert "nothing below TLS 1.2" in str(problem)

    async def test_denied_is_an_end_without_close_notify(self, front):
        upstream = await start_upstream(front.nursery)
        front.sets |= {"connect:legacy": (), "plaintext:legacy": (upstream.endpoint,)}
        await front.serve(TestPlaintext.SHAPE, tls=ListenerTls(), rules=())
        stream = await front.call_in_tls("db.example.com")
        assert await until_end(stream) == (b"", "cut")
        await front.node.ended("denied")

    @waits_for_a_limit
    async def test_a_client_that_dawdles_is_let_go(self, front, raw, hello_bytes):
        await front.behind()
        await front.serve(tls=ListenerTls())
        await raw(front.port, hello_bytes("db.example.com"), end=False)
        await front.node.ended("handshake_timeout")


async def test_what_did_not_change_is_taken_over(front):
    await front.behind()
    leaves = (front.pki.service("front", dns=NAMES), front.pki.service("billing"))
    await front.serve(tls=ListenerTls(), leaves=leaves)
    before = front.node.world.current.view.gateways["127.0.0.1", front.port].only
    await front.decide(allow("front", "billing"))
    after = front.node.world.current.view.gateways["127.0.0.1", front.port].only
    assert after.tls is before.tls
    assert after.context is before.context
    await front.serve(tls=ListenerTls(min_version="TLSv1_3"), leaves=leaves)
    other = front.node.world.current.view.gateways["127.0.0.1", front.port].only
    assert other.tls is not before.tls
    assert other.context is before.context
