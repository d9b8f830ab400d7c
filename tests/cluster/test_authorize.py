"""The data path's answer: the same as the rules give, and a Permit for nobody who is not named."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.authorize import (
    Denied,
    DestinationPolicy,
    Peer,
    Permit,
    authorize,
    caller_of,
    policy_for,
    reason_of,
)
from cluster.identity import AgentId, MeshGatewayId, ServerId, ServiceId, SigningId
from cluster.intentions import Action, Intention, evaluate, matching_destination
from cluster.names import ServiceName

TD = "1234.consul"
PEERS = {"east.consul": Peer("east", "p1"), "west.consul": Peer("west")}
DB = ServiceName(name="db")
WEB = ServiceName(name="web")


def _uri(service="web", *, domain=TD, **tenancy) -> str:
    return ServiceId(trust_domain=domain, service=service, datacenter="dc1", **tenancy).uri


def _rule(source: ServiceName, action="allow", destination=DB, **more) -> Intention:
    return Intention(source=source, destination=destination, action=Action(action), **more)


# The law that holds compiled and plain rules together.

# Mostly one tenancy and few names, so that many rules meet.
partitions = st.sampled_from(["default"] * 5 + ["p1"])
namespaces = st.sampled_from(["default"] * 3 + ["eng"])
peers = st.sampled_from([""] * 5 + ["east"])
tenancy = {"partition": partitions, "peer": peers}
exact = st.builds(ServiceName, name=st.sampled_from(["web", "db"]), namespace=namespaces, **tenancy)
patterns = st.one_of(
    exact,
    st.builds(ServiceName, name=st.just("*"), namespace=namespaces, **tenancy),
    st.builds(ServiceName, name=st.just("*"), namespace=st.just("*"), **tenancy),
)
local_patterns = patterns.map(
    lambda name: ServiceName(name=name.name, namespace=name.namespace, partition=name.partition)
)
rule_sets = st.lists(
    st.builds(
        Intention,
        source=patterns,
        destination=local_patterns,
        action=st.sampled_from(Action),
        permissions=st.sampled_from([(), (), ({"Action": "allow"},)]),
    ),
    min_size=2,
    max_size=12,
    unique_by=lambda rule: (rule.source, rule.destination),
)


@given(rule_sets, exact, exact, st.booleans())
@settings(max_examples=400)
def test_the_compiled_policy_decides_as_the_rules_do(rules, source, destination, default_allow):
    plain = evaluate(rules, source, destination, default_allow=default_allow)
    compiled = policy_for(destination, rules, default_allow=default_allow)
    assert compiled.decide(source) == plain
    matching = matching_destination(rules, destination)
    by_hand = DestinationPolicy(destination, reversed(matching), default_allow=default_allow)
    assert by_hand.decide(source) == plain


# Who a caller is.


@pytest.mark.parametrize(
    ("identity", "caller"),
    [
        (ServiceId(trust_domain=TD, service="web", datacenter="dc9"), WEB),
        (ServiceId(trust_domain="1234.CONSUL", service="web", datacenter="dc1"), WEB),
        (
            ServiceId(
                trust_domain=TD, service="web", datacenter="dc1", namespace="eng", partition="p1"
            ),
            ServiceName(name="web", namespace="eng", partition="p1"),
        ),
        (ServiceId(trust_domain="9999.consul", service="web", datacenter="dc1"), None),
        (
            ServiceId(
                trust_domain="east.consul",
                service="web",
                datacenter="dc1",
                namespace="eng",
                partition="p1",
            ),
            ServiceName(name="web", namespace="eng", peer="east"),
        ),
        (ServiceId(trust_domain="east.consul", service="web", datacenter="dc1"), None),
        (
            ServiceId(trust_domain="West.consul", service="web", datacenter="dc1"),
            ServiceName(name="web", peer="west"),
        ),
        (
            ServiceId(trust_domain="west.consul", service="web", datacenter="d", partition="p1"),
            None,
        ),
        (MeshGatewayId(trust_domain=TD, datacenter="dc1"), None),
        (AgentId(trust_domain=TD, datacenter="dc1", node="web"), None),
        (ServerId(trust_domain=TD, datacenter="dc1"), None),
        (SigningId(cluster_id="1234"), None),
    ],
)
def test_who_the_caller_is(identity, caller):
    assert caller_of(identity, TD, PEERS) == caller


def test_without_peers_only_our_own_trust_domain_counts():
    assert caller_of(ServiceId(trust_domain="west.consul", service="w", datacenter="d"), TD) is None


# The Permit.


def _authorize(rules, uri, *, default_allow=False) -> Permit | Denied:
    return authorize(policy_for(DB, rules, default_allow=default_allow), uri, TD, PEERS)


def test_a_permit_names_source_destination_and_rule():
    rule = _rule(WEB)
    permit = _authorize([rule], _uri())
    assert isinstance(permit, Permit)
    assert (permit.source, permit.destination, permit.decision.rule) == (WEB, DB, rule)


def test_a_denial_names_the_rule():
    denied = _authorize([_rule(WEB, "deny")], _uri(), default_allow=True)
    assert isinstance(denied, Denied)
    assert denied.reason == "denied by the intention web => db (precedence 9)"


def test_without_a_rule_the_default_policy_decides():
    assert isinstance(_authorize([], _uri(), default_allow=True), Permit)
    denied = _authorize([], _uri())
    assert isinstance(denied, Denied)
    assert denied.source == WEB
    assert denied.reason == "denied by the default policy: no intention matches"


def test_a_local_wildcard_lets_no_peer_in():
    rules = [_rule(ServiceName(name="*"))]
    assert isinstance(_authorize(rules, _uri(domain="west.consul")), Denied)
    rules = [_rule(ServiceName(name="*", peer="west"))]
    assert isinstance(_authorize(rules, _uri(domain="west.consul")), Permit)
    assert isinstance(_authorize(rules, _uri()), Denied)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "https://1234.consul/ns/default/dc/dc1/svc/web",
        f"spiffe://{TD}",
        "spiffe://9999.consul/ns/default/dc/dc1/svc/web",
        f"spiffe://{TD}/gateway/mesh/dc/dc1",
        f"spiffe://{TD}/ns/default/dc/dc1/svc/web/extra",
    ],
)
def test_whoever_is_no_service_of_ours_is_denied_even_where_all_are_allowed(uri):
    rules = [_rule(ServiceName(name="*", namespace="*"))]
    denied = _authorize(rules, uri, default_allow=True)
    assert isinstance(denied, Denied)
    assert denied.source is None
    assert denied.decision is None


def test_permissions_deny_a_connection_and_say_why():
    denied = _authorize([_rule(WEB, permissions=({"Action": "allow"},))], _uri())
    assert isinstance(denied, Denied)
    assert denied.reason == (
        "denied: the intention web => db has permissions per request, which need HTTP"
    )


def test_reason_of_an_allowed_decision():
    decision = evaluate([_rule(WEB)], WEB, DB, default_allow=False)
    assert reason_of(decision) == "allowed by the intention web => db (precedence 9)"
