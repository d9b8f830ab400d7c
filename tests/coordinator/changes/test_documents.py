"""Entries and snapshots compared field by field."""

from cluster.certs import Root, TrustBundle
from cluster.names import ServiceName
from cluster.policies import RulesByDestination
from cluster.routes import Endpoint, MeshRoute, TerminatingGateway, TerminatingRoute
from cluster.snapshot import EndpointSet, Policy, Snapshot, Trust
from coordinator.changes.closing import would_close
from coordinator.changes.entries import entry_diffs
from coordinator.changes.fields import field_changes
from coordinator.changes.routes import route_changes

TRUST = Trust(
    datacenter="dc1",
    bundle=TrustBundle(trust_domain="t.consul", roots=(Root(id="r", pem=b"P", active=True),)),
)


def changed(before, after):
    return [(one.path, one.before, one.after) for one in field_changes(before, after)]


def test_a_list_of_named_things_is_compared_by_name():
    before = {"Sources": [{"Name": "web", "Action": "allow"}, {"Name": "api"}]}
    after = {"Sources": [{"Name": "db"}, {"Name": "web", "Action": "deny"}]}
    assert changed(before, after) == [
        ("Sources[web].Action", "allow", "deny"),
        ("Sources[api]", {"Name": "api"}, None),
        ("Sources[db]", None, {"Name": "db"}),
    ]


def test_order_alone_is_one_difference_and_peers_have_names_of_their_own():
    one, two = {"Name": "web"}, {"Name": "web", "Peer": "east"}
    assert changed([one, two], [two, one]) == [
        ("", ["web", "peer:east/web"], ["peer:east/web", "web"])
    ]


def test_a_list_of_nameless_things_changes_as_a_whole():
    assert changed({"a": [1, 2]}, {"a": [1, 3]}) == [("a", [1, 2], [1, 3])]


def test_entries_are_created_updated_and_deleted():
    one = {"Kind": "k", "Name": "n", "X": 1}
    found = entry_diffs({"k/n": one, "k/gone": one}, {"k/n": one | {"X": 2}, "k/new": one})
    assert [(e.name, e.change) for e in found] == [
        ("gone", "delete"),
        ("n", "update"),
        ("new", "create"),
    ]
    assert [(f.path, f.before, f.after) for f in found[1].fields] == [("X", 1, 2)]


def test_routes_are_told_part_by_part():
    billing = ServiceName(name="billing")
    route = TerminatingRoute(
        service=billing, datacenter="dc1", server_names=("b.x",), endpoints="service:billing"
    )
    mesh = MeshRoute(server_name="b.x", service=billing, endpoints="connect:billing")
    sets = (EndpointSet(name="service:billing", endpoints=(Endpoint(address="::1", port=1),)),)
    before = Snapshot(trust=TRUST, terminating=(TerminatingGateway(name="egress", routes=()),))
    after = Snapshot(
        trust=TRUST,
        terminating=(TerminatingGateway(name="egress", routes=(route,)),),
        mesh=(mesh,),
        endpoints=sets,
    )
    assert route_changes(before, before) == ()
    assert [(r.section, r.name, r.change) for r in route_changes(before, after)] == [
        ("terminating", "egress/billing", "create"),
        ("mesh", "b.x", "create"),
        ("endpoints", "service:billing", "create"),
    ]


def test_only_what_was_permitted_can_be_closed():
    live = [
        {"id": "1", "source": "web", "destination": "billing"},
        {"id": "2", "source": "", "destination": "billing"},
        {"id": "3", "source": "peer:east/default/web", "destination": "billing"},
    ]
    assert [one["id"] for one in would_close(live, RulesByDestination(Policy()).policy)] == [
        "1",
        "3",
    ]
    allowing = RulesByDestination(Policy(default_allow=True)).policy
    assert would_close(live, allowing) == ()
