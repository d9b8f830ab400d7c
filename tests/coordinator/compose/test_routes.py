"""Routes: when one exists, and what is left out of its endpoints."""

from coordinator.compose import compose
from coordinator.compose.policy import intentions_of

GATEWAY = {"Kind": "terminating-gateway", "Name": "egress", "Services": [{"Name": "db"}]}
NODES = {"n1": {"Node": "n1", "Address": "10.0.0.1"}}


def _compose(state_of, trust, services, **checks):
    state = state_of(
        nodes=NODES,
        services={f"n1/{key}": value for key, value in services.items()},
        checks=checks,
        entries={"terminating-gateway/egress": GATEWAY},
    )
    return compose(state, default_allow=False, trust=trust).snapshot


def _terminating(snapshot):
    return [route.service.name for route in snapshot.terminating[0].routes]


def test_no_instance_no_route(state_of, trust):
    assert _terminating(_compose(state_of, trust, {})) == []


def test_a_native_instance_is_nothing_to_a_terminating_gateway(state_of, trust):
    native = {"Service": "db", "Port": 1, "Connect": {"Native": True}}
    assert _terminating(_compose(state_of, trust, {"db": native})) == []


def test_a_critical_instance_keeps_the_route(state_of, trust):
    check = {"n1/c": {"Status": "critical", "ServiceID": "db"}}
    snapshot = _compose(state_of, trust, {"db": {"Service": "db", "Port": 1}}, **check)
    assert _terminating(snapshot) == ["db"]
    (endpoints,) = (made.endpoints for made in snapshot.endpoints if made.name == "service:db")
    assert [endpoint.healthy for endpoint in endpoints] == [False]


def test_what_cannot_be_dialled_is_no_endpoint(state_of, trust):
    portless, homeless = {"Service": "db"}, {"Service": "db", "Port": 1}
    state = state_of(
        services={"n1/a": portless, "n2/b": homeless},
        nodes=NODES,
        entries={"terminating-gateway/egress": GATEWAY},
    )
    snapshot = compose(state, default_allow=False, trust=trust).snapshot
    assert _terminating(snapshot) == ["db"]
    assert [made.endpoints for made in snapshot.endpoints] == [()]


def test_names_are_lower_case_where_they_are_looked_up(state_of, trust):
    native = {"Service": "Web", "Port": 1, "Connect": {"Native": True}}
    (route,) = _compose(state_of, trust, {"web": native}).mesh
    assert route.server_name == "web.default.dc1.internal.1234.consul"
    assert route.service.name == "Web"


def test_a_source_inherits_its_tenancy_from_the_entry():
    entry = {
        "Name": "db",
        "Namespace": "eng",
        "Partition": "p1",
        "Sources": [
            {"Name": "web", "Action": "allow"},
            {"Name": "web", "Namespace": "ops", "Partition": "p2", "Action": "allow"},
            {"Name": "web", "Peer": "east", "Action": "allow"},
        ],
    }
    assert [str(rule.source) for rule in intentions_of(entry)] == [
        "p1/eng/web",
        "p2/ops/web",
        "peer:east/eng/web",
    ]
    assert {str(rule.destination) for rule in intentions_of(entry)} == {"p1/eng/db"}


def test_services_that_differ_by_case_alone_do_not_stop_the_others(state_of, trust):
    native = {"Port": 1, "Connect": {"Native": True}}
    services = {f"n1/{name}": {"Service": name, **native} for name in ("Web", "web", "api")}
    composed = compose(state_of(nodes=NODES, services=services), default_allow=False, trust=trust)
    assert [route.service.name for route in composed.snapshot.mesh] == ["api", "Web"]
    (problem,) = composed.problems
    assert "'Web'" in problem.message
    assert "'web'" in problem.message
