"""For each endpoint and each kind of token: is the call refused, and does a list show nothing?

An endpoint that is not in the table fails the test: say here who may call it.
"""

import pytest

from coordinator.api.app import make_app
from coordinator.api.openapi import served
from tests.coordinator.api.acl.conftest import Client

#: Who is let through, of: nobody in particular, one that is denied everything, a reader, an operator.
#: A manager always is.
EVERYBODY = ("none", "deny", "read", "operator")
READERS = ("read", "operator")
WRITERS = ("operator",)
AUDITORS = ("read",)  # of tokens, policies and roles
MANAGERS = ()

INSTANCE = {
    "Node": "n1",
    "Address": "10.0.0.1",
    "Service": {"Service": "web", "Port": 80},
    "Check": {"CheckID": "c", "Name": "c", "ServiceID": "web", "Status": "passing"},
}
GATEWAY = {
    "Node": "n1",
    "SkipNodeUpdate": True,
    "Service": {"Service": "gw", "Kind": "terminating-gateway", "Port": 8443},
}
LINK = {"Kind": "terminating-gateway", "Name": "gw", "Services": [{"Name": "web"}]}
OWN = {"Name": "web", "ID": "own", "Check": {"CheckID": "own-check", "TTL": "1h"}}
INTENTIONS = {
    "Kind": "service-intentions",
    "Name": "web",
    "Sources": [{"Name": "api", "Action": "allow"}],
}
PAIR = "?source=api&destination=web"
LEGACY = {"SourceName": "db", "DestinationName": "web", "Action": "allow"}
PASSING = {"Status": "passing"}
URI = "spiffe://x.consul/ns/default/dc/dc1/svc/api"
KEY = {"public_key": "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"}
CHECK = {"Name": "x", "CheckID": "x", "TTL": "10s"}
ENTRY = {"Kind": "service-defaults", "Name": "web"}
POLICY = {"Name": "x", "Rules": ""}

#: Call: who is let through, what is asked (if the path is not enough), the body.
TABLE = {
    "PUT /v1/acl/bootstrap": (MANAGERS, "", {}),  # it was done
    "POST /v1/acl/bootstrap": (MANAGERS, "", {}),
    "GET /v1/acl/policies": (AUDITORS,),
    "PUT /v1/acl/policy": (MANAGERS, "", POLICY),
    "GET /v1/acl/policy/name/{name}": (AUDITORS,),
    "GET /v1/acl/policy/{id}": (AUDITORS,),
    "PUT /v1/acl/policy/{id}": (MANAGERS, "", POLICY),
    "DELETE /v1/acl/policy/{id}": (MANAGERS,),
    "GET /v1/acl/roles": (AUDITORS,),
    "PUT /v1/acl/role": (MANAGERS, "", {"Name": "x"}),
    "GET /v1/acl/role/name/{name}": (AUDITORS,),
    "GET /v1/acl/role/{id}": (AUDITORS,),
    "PUT /v1/acl/role/{id}": (MANAGERS, "", {"Name": "x"}),
    "DELETE /v1/acl/role/{id}": (MANAGERS,),
    "GET /v1/acl/tokens": (AUDITORS,),
    "PUT /v1/acl/token": (MANAGERS, "", {}),
    "GET /v1/acl/token/self": (EVERYBODY,),
    "PUT /v1/acl/token/{id}/clone": (MANAGERS, "", {}),
    "GET /v1/acl/token/{id}": (AUDITORS,),
    "PUT /v1/acl/token/{id}": (MANAGERS, "", {}),
    "DELETE /v1/acl/token/{id}": (MANAGERS,),
    "GET /v1/agent/self": (READERS,),
    "GET /v1/agent/members": (EVERYBODY,),
    "GET /v1/agent/metrics": (READERS,),
    "GET /v1/agent/checks": (EVERYBODY,),
    "PUT /v1/agent/check/register": (WRITERS, "", CHECK),
    "PUT /v1/agent/check/deregister/{check}": (WRITERS, "/v1/agent/check/deregister/own-check"),
    "PUT /v1/agent/check/pass/{check}": (WRITERS, "/v1/agent/check/pass/own-check"),
    "PUT /v1/agent/check/warn/{check}": (WRITERS, "/v1/agent/check/warn/own-check"),
    "PUT /v1/agent/check/fail/{check}": (WRITERS, "/v1/agent/check/fail/own-check"),
    "PUT /v1/agent/check/update/{check}": (
        WRITERS,
        "/v1/agent/check/update/own-check",
        PASSING,
    ),
    "GET /v1/agent/health/service/id/{service}": (READERS, "/v1/agent/health/service/id/own"),
    "GET /v1/agent/health/service/name/{service}": (READERS,),
    "GET /v1/agent/services": (EVERYBODY,),
    "PUT /v1/agent/service/register": (WRITERS, "", OWN),
    "PUT /v1/agent/service/deregister/{service}": (WRITERS, "/v1/agent/service/deregister/own"),
    "GET /v1/agent/service/{service}": (READERS, "/v1/agent/service/own"),
    "GET /v1/lockgate/audit": (READERS,),
    "GET /v1/connect/ca/roots": (EVERYBODY,),
    "GET /v1/agent/connect/ca/roots": (EVERYBODY,),
    "GET /v1/connect/ca/configuration": (READERS,),
    "PUT /v1/connect/ca/configuration": (WRITERS, "", {}),
    "POST /v1/lockgate/ca/rotate": (WRITERS, "", {"x": 1}),
    "POST /v1/lockgate/ca/distrust": (WRITERS, "", {"x": 1}),
    "POST /v1/lockgate/connect/sign": (WRITERS, "", {"CSR": "nonsense"}),
    "GET /v1/catalog/datacenters": (EVERYBODY,),
    "GET /v1/catalog/nodes": (EVERYBODY,),
    "GET /v1/catalog/services": (EVERYBODY,),
    "GET /v1/catalog/service/{service}": (EVERYBODY,),
    "GET /v1/catalog/connect/{service}": (EVERYBODY,),
    "GET /v1/catalog/node/{node}": (EVERYBODY,),
    "GET /v1/catalog/node-services/{node}": (EVERYBODY,),
    "GET /v1/catalog/gateway-services/{gateway}": (EVERYBODY,),
    "PUT /v1/config": (WRITERS, "", ENTRY),
    "GET /v1/config/{kind}": (EVERYBODY,),
    "GET /v1/config/{kind}/{name}": (READERS,),
    "DELETE /v1/config/{kind}/{name}": (WRITERS,),
    "GET /v1/lockgate/connections": (READERS,),
    "PUT /v1/lockgate/connections/close": (WRITERS, "", {"ids": ["x"]}),
    "GET /v1/discovery-chain/{service}": (READERS,),
    "POST /v1/discovery-chain/{service}": (READERS, "", {}),
    "GET /v1/lockgate/explain": (READERS, f"/v1/lockgate/explain{PAIR}"),
    "POST /v1/lockgate/explain": (READERS, f"/v1/lockgate/explain{PAIR}", {}),
    "GET /v1/lockgate/explain/{id}": (READERS,),
    "GET /v1/health/service/{service}": (EVERYBODY,),
    "GET /v1/health/connect/{service}": (EVERYBODY,),
    "GET /v1/health/node/{node}": (EVERYBODY,),
    "GET /v1/health/checks/{service}": (EVERYBODY,),
    "GET /v1/health/state/{state}": (EVERYBODY, "/v1/health/state/any"),
    "GET /v1/lockgate/history": (READERS,),
    "GET /v1/lockgate/diff": (READERS, "/v1/lockgate/diff?from=1&to=2"),
    "PUT /v1/lockgate/rollback": (WRITERS, "/v1/lockgate/rollback?to=1", {"to": 1}),
    "GET /v1/connect/intentions/match": (
        READERS,
        "/v1/connect/intentions/match?by=destination&name=web",
    ),
    "GET /v1/connect/intentions/check": (READERS, f"/v1/connect/intentions/check{PAIR}"),
    "POST /v1/agent/connect/authorize": (WRITERS, "", {"Target": "web", "ClientCertURI": URI}),
    "PUT /v1/agent/connect/authorize": (WRITERS, "", {"Target": "web", "ClientCertURI": URI}),
    "GET /v1/connect/intentions/exact": (READERS, f"/v1/connect/intentions/exact{PAIR}"),
    "PUT /v1/connect/intentions/exact": (
        WRITERS,
        f"/v1/connect/intentions/exact{PAIR}",
        {"Action": "allow"},
    ),
    "DELETE /v1/connect/intentions/exact": (WRITERS, f"/v1/connect/intentions/exact{PAIR}"),
    "GET /v1/connect/intentions": (EVERYBODY,),
    "POST /v1/connect/intentions": (WRITERS, "", LEGACY),
    "GET /v1/connect/intentions/{id}": (READERS, "legacy"),
    "PUT /v1/connect/intentions/{id}": (WRITERS, "legacy", LEGACY),
    "DELETE /v1/connect/intentions/{id}": (WRITERS, "legacy"),
    "GET /v1/kv/{key}": (READERS, "/v1/kv/a"),
    "PUT /v1/kv/{key}": (WRITERS, "/v1/kv/a", {}),
    "DELETE /v1/kv/{key}": (WRITERS, "/v1/kv/a"),
    "PUT /v1/txn": (WRITERS, "", [{"KV": {"Verb": "set", "Key": "a"}}]),
    "GET /v1/agent/connect/ca/leaf/{service}": (WRITERS,),
    "PUT /v1/agent/maintenance": (WRITERS, "/v1/agent/maintenance?enable=true"),
    "PUT /v1/agent/service/maintenance/{service}": (
        WRITERS,
        "/v1/agent/service/maintenance/own?enable=true",
    ),
    "GET /v1/lockgate/nodes": (READERS,),
    "GET /v1/lockgate/nodes/{name}": (READERS,),
    "PUT /v1/lockgate/node-token/{name}": (WRITERS,),
    "PUT /v1/lockgate/nodes/{name}": (WRITERS, "", KEY),
    "DELETE /v1/lockgate/nodes/{name}": (WRITERS,),
    "PUT /v1/lockgate/nodes/{name}/drain": (WRITERS, "", {}),
    "GET /v1/lockgate/openapi.json": (EVERYBODY,),
    "POST /v1/lockgate/plan": (READERS, "", {}),
    "POST /v1/lockgate/simulate": (READERS, "", {}),
    "PUT /v1/catalog/register": (WRITERS, "", INSTANCE),
    "PUT /v1/catalog/deregister": (WRITERS, "", {"Node": "n1", "ServiceID": "web"}),
    "GET /v1/status/leader": (EVERYBODY,),
    "GET /v1/status/peers": (EVERYBODY,),
    "GET /v1/lockgate/status": (READERS,),
    "GET /v1/lockgate/monitor": (READERS, "/v1/lockgate/monitor?seconds=0"),
    "GET /v1/snapshot": (MANAGERS,),
    "GET /v1/exported-services": (READERS,),
    "GET /v1/health/ingress/{service}": (EVERYBODY,),
    "GET /v1/internal/ui/gateway-intentions/{gateway}": (READERS,),
    "GET /v1/internal/ui/gateway-services-nodes/{gateway}": (READERS,),
    "PUT /v1/snapshot": (MANAGERS, "", {}),
}
#: Lists that are the same for all.
NOT_FILTERED = (
    "GET /v1/acl/token/self",
    "GET /v1/catalog/datacenters",
    "GET /v1/connect/ca/roots",
    "GET /v1/agent/connect/ca/roots",
    "GET /v1/lockgate/openapi.json",
    "GET /v1/status/leader",
    "GET /v1/status/peers",
)
_NAMES = {
    "{service}": "web",
    "{node}": "n1",
    "{gateway}": "gw",
    "{kind}": "service-intentions",
    "{name}": "web",
    "{id}": "2b6a3f0c-0000-4000-8000-000000000000",
}
_EVERY = ("agent", "event", "key", "node", "query", "service", "session")
DENY = " ".join(f'{one}_prefix "" {{ policy = "deny" }}' for one in _EVERY)
DENY += ' operator = "deny" mesh = "deny" acl = "deny"'
OPERATOR = " ".join(f'{one}_prefix "" {{ policy = "write" }}' for one in _EVERY if one != "service")
OPERATOR += ' service_prefix "" { policy = "write" intentions = "write" } operator = "write"'


@pytest.fixture
async def speakers(stranger, manager, bearing, with_rules):
    """One client of each kind, over a store with something in it."""
    for body in (INSTANCE, GATEWAY):
        await manager("PUT", "/v1/catalog/register", body)
    await manager("PUT", "/v1/agent/service/register", OWN)
    await manager("PUT", "/v1/config", INTENTIONS)
    await manager("PUT", "/v1/config", LINK)
    await manager("PUT", "/v1/kv/a", {})
    links = {"Policies": [{"Name": "builtin/global-read-only"}]}
    reader = await manager("PUT", "/v1/acl/token", links)
    return {
        "none": stranger,
        "deny": await with_rules(DENY),
        "read": bearing(reader["SecretID"]),
        "operator": await with_rules(OPERATOR),
        "manager": manager,
    }


async def test_the_table_has_every_endpoint(services):
    assert {call for call, _ in served(make_app(services).routes)} == set(TABLE)


@pytest.mark.parametrize("call", TABLE)
async def test_who_is_let_through(call, speakers):
    """In the order of their rights, so that what one may not do is still there for the next."""
    allowed, path, body = (*TABLE[call], *("", None)[len(TABLE[call]) - 1 :])
    verb = call.split()[0]
    url = await _url(call, path, speakers["manager"])
    for kind, client in speakers.items():
        response = await _ask(client, verb, url, body)
        assert response.status_code != 500 or "a bug" not in response.text
        is_refused = response.status_code == 403
        expected = kind != "manager" and kind not in allowed
        if call.endswith("/v1/acl/bootstrap"):
            expected = True  # whoever asks: it was done
        assert is_refused is expected, f"{call} by {kind}: {response.status_code} {response.text}"
        if expected:
            assert response.text.startswith("Permission denied: "), response.text


@pytest.mark.parametrize("call", [call for call, row in TABLE.items() if row[0] == EVERYBODY])
async def test_what_everybody_may_call_shows_nothing_to_those_without_rights(call, speakers):
    if call in NOT_FILTERED:
        return
    url = await _url(call, (*TABLE[call], "")[1], speakers["manager"])
    for kind in ("none", "deny"):
        shown = (await _ask(speakers[kind], "GET", url, None)).json()
        assert shown in ([], {}, None, {"Node": None, "Services": None}), (kind, shown)


async def _url(call, path, manager):
    if path == "legacy":
        made = await manager("POST", "/v1/connect/intentions", LEGACY | {"SourceName": "old"})
        return f"/v1/connect/intentions/{made['ID']}"
    url = path or call.split()[1]
    for name, value in _NAMES.items():
        url = url.replace(name, value)
    return url


async def _ask(client: Client, verb, url, body):
    return await client.http.request(verb, url, json=body, headers=client.headers)
