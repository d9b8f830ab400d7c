"""Deny by default: every endpoint says what it needs, and what it says is asked."""

import httpx
import pytest
from starlette.applications import Starlette

from coordinator.acl.authorizer import Authorizer
from coordinator.acl.rights import Access, node_read, operator_read, service_write
from coordinator.acl.rules import OPERATOR, Rule
from coordinator.acl.speaker import ANONYMOUS_ACCESSOR, Speaker
from coordinator.api.app import make_app
from coordinator.api.endpoint import Do, Read, at
from coordinator.api.needs import Unstated, anyone, each, in_answer, named

ROWS = [{"Node": "a1"}, {"Node": "b1"}, {"Node": "a2"}]


class Only:
    """Access for one speaker with these rules."""

    default = "deny"

    def __init__(self, *rules, accessor=""):
        authorizer = Authorizer(rules, default_allow=False)
        self._speaker = Speaker(name="a test", accessor=accessor, authorizer=authorizer)

    def speaker(self, scope):
        return self._speaker


A_NODES = Rule(resource="node", name="a", is_prefix=True, access=Access.READ)


@pytest.fixture
def ask(services):
    """GET from one endpoint with rules."""

    async def ask(method, *rules, accessor=""):
        app = Starlette(routes=[at("/it", GET=method)])
        app.state.services = _with(services, Only(*rules, accessor=accessor))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            return await client.get("/it")

    return ask


def _with(services, access):
    import dataclasses

    return dataclasses.replace(services, access=access)


def _methods(services):
    for route in make_app(services).routes:
        for verb, method in route.endpoint.methods.items():
            yield f"{verb} {route.path}", method


async def test_every_endpoint_says_what_it_needs(services):
    silent = [what for what, method in _methods(services) if isinstance(method.needs, Unstated)]
    assert not silent, "state needs=… (see coordinator/api/needs.py)"


async def test_an_endpoint_that_says_nothing_lets_only_managers_through(ask):
    refused = await ask(Read(answer=lambda _: 1), *OPERATOR)
    assert (refused.status_code, "'acl:write'" in refused.text) == (403, True)
    manager = await ask(Read(answer=lambda _: 1), Rule(resource="acl", access=Access.WRITE))
    assert manager.status_code == 200


async def test_a_right_that_is_lacking_is_named(ask):
    refused = await ask(Read(answer=lambda _: 1, needs=operator_read))
    assert (refused.status_code, refused.text) == (
        403,
        "Permission denied: a test lacks permission 'operator:read'",
    )
    refused = await ask(Read(answer=lambda _: 1, needs=lambda _: node_read("b")), accessor="7")
    text = "Permission denied: token with AccessorID '7' lacks permission 'node:read' on \"b\""
    assert refused.text == text
    refused = await ask(Read(answer=lambda _: 1, needs=operator_read), accessor=ANONYMOUS_ACCESSOR)
    assert refused.text.startswith("Permission denied: anonymous token lacks permission 'oper")


async def test_of_several_rights_all_are_needed(ask):
    both = Read(answer=lambda _: 1, needs=lambda _: (node_read("a"), service_write("web")))
    refused = await ask(both, A_NODES)
    assert "'service:write' on \"web\"" in refused.text
    writer = Rule(resource="service", name="web", access=Access.WRITE)
    assert (await ask(both, A_NODES, writer)).status_code == 200


async def test_of_a_list_one_sees_what_one_may(ask):
    rows = Read(answer=lambda _: ROWS, needs=each(lambda row: node_read(row["Node"])))
    answer = await ask(rows, A_NODES)
    assert answer.json() == [{"Node": "a1"}, {"Node": "a2"}]
    assert answer.headers["X-Consul-Results-Filtered-By-ACLs"] == "true"
    everything = await ask(rows, Rule(resource="node", is_prefix=True, access=Access.READ))
    assert "X-Consul-Results-Filtered-By-ACLs" not in everything.headers
    assert len(everything.json()) == 3


async def test_so_it_is_with_an_object(ask):
    table = Read(answer=lambda _: {"a1": 1, "b1": 2}, needs=named(lambda name, _: node_read(name)))
    assert (await ask(table, A_NODES)).json() == {"a1": 1}
    values = Read(answer=lambda _: {"x": ROWS[0]}, needs=each(lambda row: node_read(row["Node"])))
    assert (await ask(values)).json() == {}


async def test_an_answer_that_should_have_asked_and_did_not_is_a_bug(ask):
    async def silent(call):
        return 1

    async def asking(call):
        call.require(operator_read)
        return 1

    assert "a bug" in (await ask(Do(answer=silent, needs=in_answer))).text
    assert (await ask(Do(answer=asking, needs=in_answer))).status_code == 403
    assert (await ask(Read(answer=lambda _: 1, needs=in_answer))).status_code == 500
    assert (await ask(Do(answer=silent, needs=anyone))).status_code == 200
