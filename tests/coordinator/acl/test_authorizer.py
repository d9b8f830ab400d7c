import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.acl.authorizer import Authorizer
from coordinator.acl.identities import node_identity, service_identity
from coordinator.acl.language import parse_rules
from coordinator.acl.rights import (
    Access,
    Right,
    Scope,
    acl_read,
    acl_write,
    intention_read,
    intention_write,
    key_list,
    key_read,
    key_write,
    key_write_under,
    mesh_read,
    mesh_write,
    node_read,
    node_write,
    operator_read,
    operator_write,
    peering_write,
    provider_read,
    service_read,
    service_write,
    service_write_any,
)
from coordinator.acl.rules import MANAGEMENT, NAMED, OPERATOR, READ_ONLY, SINGLE, Rule


def allows(rules, right, *, default=False):
    return Authorizer(parse_rules(rules), default_allow=default).allows(right)


WEB = 'service "web" { policy = "write" } '
ALL_READ = 'service_prefix "" { policy = "read" } '


@pytest.mark.parametrize(
    ("rules", "right", "allowed"),
    [
        ("", service_read("web"), False),
        (WEB, service_write("web"), True),
        (WEB, service_read("web"), True),
        (WEB, service_read("web2"), False),
        ('service "web" { policy = "read" }', service_write("web"), False),
        # the longest prefix wins, and an exact rule beats every prefix
        (ALL_READ + 'service_prefix "we" { policy = "deny" }', service_read("web"), False),
        (ALL_READ + 'service_prefix "we" { policy = "deny" }', service_read("db"), True),
        (ALL_READ + 'service "web" { policy = "deny" }', service_read("web"), False),
        ('service_prefix "web" { policy = "deny" } ' + WEB, service_write("web"), True),
        ('service_prefix "web" { policy = "deny" } ' + WEB, service_write("web2"), False),
        # intentions: told, or what follows from the service
        (WEB, intention_read("web"), True),
        (WEB, intention_write("web"), False),
        ('service "web" { policy = "read" intentions = "write" }', intention_write("web"), True),
        ('service "web" { policy = "write" intentions = "deny" }', intention_read("web"), False),
        (ALL_READ + 'service "web" { policy = "deny" }', intention_read("web"), False),
        (WEB, intention_read("*"), True),
        ('service "web" { policy = "deny" }', intention_read("*"), False),
        ('service "web" { policy = "read" intentions = "write" }', intention_write("*"), False),
        (
            'service_prefix "" { policy = "read" intentions = "write" }',
            intention_write("*"),
            True,
        ),
        (
            'service_prefix "" { policy = "read" intentions = "write" } service "x" { policy = "read" }',
            intention_write("*"),
            False,
        ),
        # mesh and peering fall back to operator
        ('operator = "write"', mesh_write, True),
        ('operator = "write" mesh = "read"', mesh_write, False),
        ('operator = "write" mesh = "deny"', mesh_read, False),
        ('mesh = "write"', operator_read, False),
        # a sidecar verifies tokens: whoever may be some service reads by what
        ('mesh = "read"', provider_read, True),
        (WEB, provider_read, True),
        (WEB + 'mesh = "deny"', provider_read, True),
        (WEB, mesh_read, False),
        (ALL_READ, provider_read, False),
        ('operator = "write"', peering_write, True),
        ('operator = "read"', operator_write, False),
        ('acl = "read"', acl_read, True),
        ('acl = "read"', acl_write, False),
        # keys: list is more than read and less than write
        ('key_prefix "a/" { policy = "list" }', key_read("a/b"), True),
        ('key_prefix "a/" { policy = "list" }', key_list("a/"), True),
        ('key_prefix "a/" { policy = "read" }', key_list("a/"), False),
        ('key_prefix "a/" { policy = "list" }', key_write("a/b"), False),
        ('key_prefix "a/" { policy = "write" }', key_write_under("a/"), True),
        ('key_prefix "a/" { policy = "write" }', key_write_under("a/b/"), True),
        ('key_prefix "a/" { policy = "write" }', key_write_under("a"), False),
        (
            'key_prefix "a/" { policy = "write" } key "a/b/c" { policy = "read" }',
            key_write_under("a/"),
            False,
        ),
        (
            'key_prefix "a/" { policy = "write" } key "a/b/c" { policy = "read" }',
            key_write_under("a/x"),
            True,
        ),
        (
            'key_prefix "a/" { policy = "write" } key_prefix "a/b" { policy = "deny" }',
            key_write_under("a/"),
            False,
        ),
        ('key "a/" { policy = "write" }', key_write_under("a/"), False),
        (WEB, service_write_any(), True),
        (ALL_READ, service_write_any(), False),
    ],
)
def test_decisions(rules, right, allowed):
    assert allows(rules, right) is allowed


@pytest.mark.parametrize(
    ("rules", "right", "allowed"),
    [
        ("", service_write("web"), True),
        ("", acl_write, True),
        ('service "web" { policy = "deny" }', service_read("web"), False),
        ('service "web" { policy = "deny" }', service_read("db"), True),
        ('service "web" { policy = "read" }', service_write("web"), False),
        ('service "web" { policy = "deny" }', intention_write("*"), False),
        ('service "web" { policy = "deny" }', service_write_any(), True),
        ('key "a/b" { policy = "read" }', key_write_under("a/"), False),
        ('key "a/b" { policy = "read" }', key_write_under("x/"), True),
        ('mesh = "deny"', operator_write, True),
    ],
)
def test_where_the_default_is_to_allow(rules, right, allowed):
    assert allows(rules, right, default=True) is allowed


@pytest.mark.parametrize(
    ("one", "other", "right", "allowed"),
    [
        ("read", "write", service_write("web"), True),
        ("write", "deny", service_read("web"), False),
        ("read", "deny", service_read("web"), False),
    ],
)
def test_of_two_policies_for_one_name_deny_beats_write_beats_read(one, other, right, allowed):
    texts = [f'service "web" {{ policy = "{access}" }}' for access in (one, other)]
    for order in (texts, texts[::-1]):
        rules = tuple(rule for text in order for rule in parse_rules(text))
        assert Authorizer(rules, default_allow=False).allows(right) is allowed


def test_what_a_policy_says_of_intentions_beats_what_follows_from_another():
    """As Consul joins them: the policy of the service is joined first, then what it implies is filled in."""
    told = parse_rules('service "web" { policy = "read" intentions = "write" }')
    silent = parse_rules('service "web" { policy = "deny" }')
    joined = Authorizer((*told, *silent), default_allow=False)
    assert not joined.allows(service_read("web"))
    assert joined.allows(intention_write("web"))


def test_identities_are_what_consul_makes_of_them():
    web = Authorizer(service_identity("web"), default_allow=False)
    assert web.allows(service_write("web"))
    assert web.allows(service_write("web-sidecar-proxy"))
    assert web.allows(service_read("db"))
    assert web.allows(node_read("n1"))
    assert not web.allows(service_write("db"))
    assert not web.allows(operator_read)
    n1 = Authorizer(node_identity("n1"), default_allow=False)
    assert n1.allows(node_write("n1"))
    assert n1.allows(service_read("db"))
    assert not n1.allows(node_read("n2"))


ASKED = st.sampled_from((Access.READ, Access.LIST, Access.WRITE))
rights = st.builds(
    Right,
    resource=st.sampled_from((*NAMED, "intention")),
    access=ASKED,
    name=st.text("ab/", max_size=4),
    scope=st.sampled_from(Scope),
) | st.builds(Right, resource=st.sampled_from(SINGLE), access=ASKED)
rules = st.lists(
    st.builds(
        Rule,
        resource=st.sampled_from(("key", "service", "operator", "mesh")),
        access=st.sampled_from(Access),
        name=st.text("ab/", max_size=3),
        is_prefix=st.booleans(),
    ),
    max_size=6,
)


@given(rights)
def test_a_manager_may_everything_and_a_reader_only_read(right):
    assert Authorizer(MANAGEMENT, default_allow=False).allows(right)
    reads = right.access is Access.READ
    assert Authorizer(READ_ONLY, default_allow=False).allows(right) is reads
    mine = right.resource != "acl"
    assert Authorizer(OPERATOR, default_allow=False).allows(right) is mine


@given(rules, rights, st.booleans())
def test_the_order_of_rules_means_nothing(some, right, default):
    forwards = Authorizer(some, default_allow=default).allows(right)
    assert Authorizer(some[::-1], default_allow=default).allows(right) is forwards
    assert Authorizer([*some, *some], default_allow=default).allows(right) is forwards


@given(rules, rights)
def test_who_may_write_may_read(some, right):
    authorizer = Authorizer(some, default_allow=False)
    writing, reading = (
        Right(resource=right.resource, access=access, name=right.name, scope=right.scope)
        for access in (Access.WRITE, Access.READ)
    )
    assert not authorizer.allows(writing) or authorizer.allows(reading)


@given(rules, rights)
def test_another_deny_never_grants(some, right):
    denied = Rule(resource="service", access=Access.DENY, name="a")
    before = Authorizer(some, default_allow=False).allows(right)
    after = Authorizer([*some, denied], default_allow=False).allows(right)
    assert before or not after


@given(rules, st.text("ab/", max_size=4))
def test_to_write_under_a_prefix_is_to_write_every_name_there_is_a_rule_for(some, prefix):
    authorizer = Authorizer(some, default_allow=False)
    if authorizer.allows(key_write_under(prefix)):
        names = {rule.name for rule in some if rule.name.startswith(prefix)} | {prefix + "zz"}
        exact = {rule.name for rule in some if rule.resource == "key" and not rule.is_prefix}
        assert all(authorizer.allows(key_write(name)) for name in names | (exact & names))
