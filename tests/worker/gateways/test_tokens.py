"""Requests whose intentions ask for tokens, at the gateways that decide about them."""

import json
import os

import jwt
import msgspec
import pytest
import trio

from cluster.http.providers import JwtProvider, Location, Place
from cluster.process.clock import wall_clock
from tests.fakes.http import says
from tests.fakes.rig import allow, deny, eventually, start_upstream
from tests.worker.gateways.test_ingress_requests import API
from tests.worker.gateways.test_ingress_requests import site as inside
from tests.worker.gateways.test_requests import site

__all__ = ["inside", "site"]

SECRET, OTHER = b"s" * 64, b"o" * 64
ADMIN = {"Providers": [{"Name": "okta", "VerifyClaims": [{"Path": ["role"], "Value": "admin"}]}]}
ASKED = {"Action": "allow", "JWT": ADMIN}


def keys(secret=SECRET):
    return json.dumps({"keys": [json.loads(jwt.algorithms.HMACAlgorithm.to_jwk(secret))]})


def provider(**options):
    return JwtProvider(**({"name": "okta", "issuer": "okta", "jwks": keys()} | options))


def token(secret=SECRET, **claims):
    """For a day: some are made when tests are collected, long before they run."""
    said = {"iss": "okta", "role": "admin", "exp": wall_clock() + 86_400} | claims
    return f"Bearer {jwt.encode(said, secret, 'HS256')}"


def with_token(source, destination="*"):
    return msgspec.structs.replace(allow(source, destination), permissions=(ASKED,))


async def test_a_terminating_gateway_asks_for_the_token(site):
    site.providers = (provider(),)
    server = await site.serve(says(), rules=(with_token("web"), allow("api", "*")))
    client = await site.call()
    assert (await client.ask()).status == 403
    assert (await client.ask(Authorization=token(OTHER))).status == 403
    assert (await client.ask(Authorization=token(role="guest"))).status == 403
    assert (await client.ask(Authorization=token(exp=wall_clock() - 60))).status == 403
    assert (await client.ask(Authorization=token())).status == 200
    assert "authorization" not in server.seen[0].headers
    other = await site.call("api")
    assert (await other.ask(Authorization="Basic x")).status == 200
    assert server.seen[1].headers["authorization"] == "Basic x"


async def test_what_the_token_says_is_told_and_nobody_else_says_it(site):
    site.providers = (provider(forward=True, payload_header="x-claims"),)
    server = await site.serve(says(), rules=(with_token("web"), allow("api", "*")))
    sent = token()
    assert (await (await site.call()).ask(Authorization=sent, X_Claims="forged")).status == 200
    api = await site.call("api")
    await api.stream.send_all(
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Claims: forged\r\nX_Claims: forged\r\n\r\n"
    )
    assert (await api.answer()).status == 200
    first, second = (message.headers for message in server.seen)
    assert first["authorization"] == sent
    assert first["x-claims"] == sent.split(".")[1]
    assert not {"x-claims", "x_claims"} & second.keys()


async def test_new_rules_and_providers_hold_for_the_next_request(site):
    site.providers = (provider(),)
    await site.serve(says(), rules=(with_token("web"),))
    client = await site.call()
    assert (await client.ask(Authorization=token())).status == 200
    site.providers = (provider(jwks=keys(OTHER)),)
    await site.decide(with_token("web"))
    assert (await client.ask(Authorization=token())).status == 403
    assert (await client.ask(Authorization=token(OTHER))).status == 200
    await site.decide(allow("web", "*"))
    assert (await client.ask()).status == 200


async def test_keys_in_a_file_are_read_again(site, tmp_path):
    path = tmp_path / "keys.json"
    site.providers = (provider(jwks="", jwks_file=str(path)),)
    await site.serve(says(), rules=(with_token("web"),))
    client = await site.call()
    assert (await client.ask(Authorization=token())).status == 403  # there is no file yet
    tokens = site.node.world.current.view.tokens
    for secret in (SECRET, OTHER):
        fresh = tmp_path / "fresh"
        fresh.write_text(keys(secret))
        os.replace(fresh, path)
        tokens._looked = 0.0
        assert (await client.ask(Authorization=token(secret))).status == 200
    assert (await client.ask(Authorization=token())).status == 403


async def test_an_ingress_gateway_asks_where_nobody_else_would(inside, front):
    plain, mesh = await inside.start_plain("api"), await inside.start("web")
    front.providers = (
        provider(locations=(Location(place=Place.HEADER, name="x-token"),), payload_header="x-say"),
    )
    rules = (with_token("front"),)
    await front.serve(inside.service("api", API), inside.service("web"), rules=rules)
    client = await inside.call()
    sent = token().removeprefix("Bearer ")
    assert (await client.ask(Host=API)).status == 403
    assert (await client.ask(Host=API, X_Token=sent)).status == 200
    assert (await client.ask(Host="web.ingress.consul", X_Token=sent)).status == 200
    assert plain.seen[0].headers["x-say"] == sent.split(".")[1]
    assert "x-token" not in plain.seen[0].headers
    assert mesh.seen[0].headers["x-token"] == sent  # its own proxy decides


@pytest.mark.parametrize(("rule", "is_cut"), [(with_token, False), (deny, True)])
async def test_what_is_under_way_goes_on_while_its_token_would_do(site, rule, is_cut):
    gate = trio.Event()

    async def slow(stream):
        while await stream.receive_some():
            await gate.wait()
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    site.providers = (provider(),)
    upstream = await start_upstream(site.nursery, slow)
    await site.link(upstream.endpoint, rules=(with_token("web"),))
    client = await site.call()
    await client.send(Authorization=token())
    await eventually(lambda: upstream.accepted == 1)
    await site.decide(rule("web", "*"), allow("api", "*"))
    gate.set()
    if is_cut:
        assert (await client.ended())[1] == "broken"
    else:
        assert (await client.answer()).body == b"ok"
