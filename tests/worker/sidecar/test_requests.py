"""What callers of the mesh get of a service that speaks HTTP, through its sidecar."""

import base64
from contextlib import asynccontextmanager

import pytest
import structlog
import trio

from tests.fakes.http import Client, Server, says
from tests.fakes.pki import client_context, service_uri
from tests.fakes.rig import PATIENCE_SECONDS, eventually, exchange, sni, start_upstream, tls_client
from tests.worker.gateways.test_tokens import keys, token
from tests.worker.sidecar.running import ended, inbound

SECRET = b"s" * 64
PROVIDER = {
    "Name": "okta",
    "Issuer": "okta",
    "JSONWebKeySet": {"Local": {"JWKS": base64.b64encode(keys(SECRET).encode()).decode()}},
}
READ = {"Action": "allow", "HTTP": {"Methods": ["GET"], "PathPrefix": "/public"}}
BY_REQUEST = ("api", {"Permissions": [READ]})


@pytest.fixture
async def calling(api_context):
    """A function that opens a connection of api to a port; closed in the end."""
    streams = []

    async def call(port):
        stream = await tls_client(port, api_context, sni("web"))
        streams.append(stream)
        return Client(stream)

    yield call
    for stream in streams:
        await trio.aclose_forcefully(stream)


@asynccontextmanager
async def web(consul, nursery, *rules, answer=None, protocol="http"):
    """The program, and a sidecar before it."""
    consul.entry("service-defaults", "web", Protocol=protocol)
    server = await Server(answer or says()).start(nursery)
    async with inbound(consul, server.endpoint, *rules) as (made, port):
        yield server, made, port


def is_http(made):
    """Whether the service is served by request now."""
    views = made.world.current.view.gateways.values()
    return any(view.table.find(sni("web")).http is not None for view in views)


async def test_a_request_reaches_the_program_which_is_told_who_called(
    consul, nursery, calling, pki
):
    async with web(consul, nursery, ("api", "allow")) as (server, made, port):
        client = await calling(port)
        for _ in range(3):
            assert (await client.ask(target="/a?b")).body == b"hello"
        assert server.connections == 1
        seen = server.seen[0]
        assert (seen.target, seen.headers["host"]) == ("/a?b", "billing.internal")
        assert seen.headers["x-forwarded-proto"] == "https"
        element = seen.headers["x-forwarded-client-cert"]
        assert element.startswith(f"By={service_uri('web')};Hash=")
        assert element.endswith(f"URI={service_uri('api')}")
        labels = {"gateway": "web", "service": "web", "code": "200"}
        requests = made.metrics.registry.get_sample_value("lockgate_http_requests_total", labels)
        assert requests == 3


async def test_a_denied_request_is_answered_and_the_connection_stays(consul, nursery, calling):
    async with web(consul, nursery, ("api", "deny")) as (server, _, port):
        client = await calling(port)
        for _ in range(2):
            answer = await client.ask()
            assert (answer.status, answer.body) == (403, b"RBAC: access denied")
    assert server.seen == []


async def test_permissions_are_asked_for_each_request(consul, nursery, calling):
    async with web(consul, nursery, BY_REQUEST) as (server, _, port):
        client = await calling(port)
        assert (await client.ask(target="/public/a")).status == 200
        assert (await client.ask("DELETE", target="/public/a")).status == 403
        assert (await client.ask(target="/private")).status == 403
        assert (await client.ask(target="/public/%2e%2e/private")).status == 403
    assert [message.target for message in server.seen] == ["/public/a"]


WITH_TOKEN = {"Permissions": [{"Action": "allow"}], "JWT": {"Providers": [{"Name": "okta"}]}}


async def test_the_log_names_the_provider_for_whose_absence_tokens_deny(consul, nursery):
    with structlog.testing.capture_logs() as logs:
        async with web(consul, nursery, ("api", WITH_TOKEN)) as (_, made, _):
            consul.providers(PROVIDER)
            await eventually(lambda: made.known.providers)
            consul.providers()
            await eventually(lambda: not made.known.providers)
    told = [line["providers"] for line in logs if "jwt-provider" in line["event"]]
    assert told == [["okta"], ["okta"]]


async def test_tokens_are_verified_by_the_providers_of_the_moment(consul, nursery, calling):
    wanted = WITH_TOKEN
    async with web(consul, nursery, ("api", wanted)) as (server, made, port):
        client = await calling(port)
        assert (await client.ask(Authorization=token(SECRET))).status == 403
        consul.providers(PROVIDER)
        await eventually(lambda: made.known.providers)
        assert (await client.ask(Authorization=token(SECRET))).status == 200
        assert (await client.ask(Authorization=token(b"o" * 64))).status == 403
        consul.providers()
        assert (await client.ended())[1] == "broken"  # nothing can let it in any more
        assert (await (await calling(port)).ask(Authorization=token(SECRET))).status == 403
    assert len(server.seen) == 1


async def test_a_change_of_rules_reaches_the_next_request(consul, nursery, calling):
    async with web(consul, nursery, ("api", "allow")) as (_, made, port):
        client = await calling(port)
        assert (await client.ask(target="/private")).status == 200
        consul.intentions("web", BY_REQUEST)
        await eventually(lambda: made.known.rules[0].permissions)
        assert (await client.ask(target="/private")).status == 403
        assert (await client.ask(target="/public")).status == 200


async def test_a_change_of_rules_ends_what_it_forbids(consul, nursery, calling):
    begun = trio.Event()

    async def slow(stream):
        begun.set()
        await stream.receive_some()
        await trio.sleep_forever()

    upstream = await start_upstream(nursery, slow)
    consul.entry("service-defaults", "web", Protocol="http")
    async with inbound(consul, upstream.endpoint, BY_REQUEST) as (made, port):
        client = await calling(port)
        await client.send(target="/public")
        await begun.wait()
        consul.intentions("web", ("api", "deny"))
        assert (await client.ended())[1] == "broken"
        await eventually(lambda: ended(made, "intention_revoked", "web") == 1)


async def test_a_protocol_that_becomes_http_is_served_by_request_from_then_on(
    consul, nursery, calling
):
    async with web(consul, nursery, BY_REQUEST, protocol="tcp") as (server, made, port):
        client = await calling(port)
        assert await client.ended() == (b"", "broken")  # there is no request to permit
        consul.entry("service-defaults", "web", Protocol="http")
        await eventually(lambda: is_http(made))
        assert (await (await calling(port)).ask(target="/public")).status == 200
        assert len(server.seen) == 1


@pytest.mark.parametrize("protocol", ["tcp", None])
async def test_a_protocol_that_is_http_no_more_ends_what_was_let_in_by_request(
    consul, nursery, calling, protocol
):
    async with web(consul, nursery, BY_REQUEST) as (server, made, port):
        client = await calling(port)
        assert (await client.ask(target="/public")).status == 200
        if protocol is None:
            consul.withdraw("service-defaults", "web")
        else:
            consul.entry("service-defaults", "web", Protocol=protocol)
        await eventually(lambda: not is_http(made))
        with trio.fail_after(PATIENCE_SECONDS):
            assert (await client.ask(target="/public")).status == 503
        assert await (await calling(port)).ended() == (b"", "broken")
        assert len(server.seen) == 1


async def test_the_protocol_of_all_proxies_counts(consul, nursery, calling):
    consul.entry("proxy-defaults", "global", Config={"protocol": "http"})
    server = await Server(says()).start(nursery)
    async with inbound(consul, server.endpoint, BY_REQUEST) as (_, port):
        assert (await (await calling(port)).ask(target="/public")).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v1/config/service-defaults/web",
        "/v1/config/proxy-defaults/global",
        "/v1/config/mesh/mesh",
        "/v1/config/jwt-provider",
        "/v1/connect/intentions/match",
    ],
)
async def test_what_cannot_be_learned_lets_nobody_in(consul, nursery, calling, path):
    consul.failing[path] = (403, "Permission denied")
    consul.settings(default="allow")
    upstream = await start_upstream(nursery)
    async with inbound(consul, upstream.endpoint, ("api", "allow"), ready=False) as (made, port):
        await eventually(lambda: made.known.leaf and consul.asked.count(path) >= 2)
        with pytest.raises(trio.BrokenResourceError):
            await calling(port)
        assert ended(made, "no_route", "") == 1
        assert "not known yet" in made._what_is_missing()
    assert upstream.accepted == 0


async def test_while_the_coordinator_is_away_permissions_hold(consul, nursery, calling):
    async with web(consul, nursery, BY_REQUEST) as (_, _, port):
        consul.failing.update(dict.fromkeys(consul.values, (500, "away")))
        consul.intentions("web", ("api", "allow"))
        client = await calling(port)
        assert (await client.ask(target="/private")).status == 403
        assert (await client.ask(target="/public")).status == 200


async def test_idle_callers_are_let_go_when_it_leaves(consul, nursery, calling):
    async with web(consul, nursery, ("api", "allow")) as (_, _, port):
        client = await calling(port)
        await client.ask()
    assert await client.ended() == (b"", "in order")


async def test_tcp_is_carried_as_it_was(consul, nursery, api_context):
    consul.entry("service-defaults", "web", Protocol="grpc-ish")
    upstream = await start_upstream(nursery)
    async with inbound(consul, upstream.endpoint, ("api", "allow")) as (_, port):
        stream = await tls_client(port, api_context, sni("web"))
        await exchange(stream)
        await trio.aclose_forcefully(stream)


@pytest.mark.parametrize(
    ("protocol", "agreed"), [("tcp", None), ("http", "http/1.1"), ("http2", "h2"), ("grpc", "h2")]
)
async def test_callers_agree_on_what_the_service_speaks(
    consul, nursery, pki, tmp_path, protocol, agreed
):
    consul.entry("service-defaults", "web", Protocol=protocol)
    context = client_context(tmp_path, pki.service("api"), pki.pem)
    context.set_alpn_protocols(["h2", "http/1.1"])
    upstream = await start_upstream(nursery)
    async with inbound(consul, upstream.endpoint, ("api", "allow")) as (_, port):
        stream = await tls_client(port, context, sni("web"))
        assert stream.selected_alpn_protocol() == agreed
        await trio.aclose_forcefully(stream)
