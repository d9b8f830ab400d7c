import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.acl.language import LIMIT_BYTES, RulesError, parse_rules
from coordinator.acl.rights import Access
from coordinator.acl.rules import NAMED, SINGLE, Rule

HCL = """
# a comment
acl = "read"
operator = "write"
key_prefix "app/" { policy = "list" }
key "app/secret" {
  policy = "deny"
}
service "web" { policy = "write" intentions = "write" }
service "db"  { policy = "read" }
service_prefix "" { policy = "read" }
"""
JSON = {
    "acl": "read",
    "operator": "write",
    "key_prefix": {"app/": {"policy": "list"}},
    "key": {"app/secret": {"policy": "deny"}},
    "service": {"web": {"policy": "write", "intentions": "write"}, "db": {"policy": "read"}},
    "service_prefix": {"": {"policy": "read"}},
}
RULES = (
    Rule(resource="acl", access=Access.READ),
    Rule(resource="operator", access=Access.WRITE),
    Rule(resource="key", name="app/", is_prefix=True, access=Access.LIST),
    Rule(resource="key", name="app/secret", access=Access.DENY),
    Rule(resource="service", name="web", access=Access.WRITE),
    Rule(resource="intention", name="web", access=Access.WRITE),
    Rule(resource="service", name="db", access=Access.READ),
    Rule(resource="service", name="", is_prefix=True, access=Access.READ),
)


def test_hcl_and_json_say_the_same():
    assert parse_rules(HCL) == RULES
    assert parse_rules(json.dumps(JSON)) == RULES
    listed = JSON | {"service": [{"web": JSON["service"]["web"]}, {"db": JSON["service"]["db"]}]}
    assert parse_rules(json.dumps(listed)) == RULES


def test_an_empty_text_has_no_rules():
    assert parse_rules("") == parse_rules(" \n") == parse_rules("{}") == ()


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ('servcie "web" { policy = "read" }', ["servcie: no such resource"]),
        (
            'service "web" { polcy = "read" }',
            ['service "web".polcy: no such field', "policy is re"],
        ),
        ('service "web" { policy = "list" }', ["one of read, write, deny, found 'list'"]),
        ('service "web" { policy = "" }', ["found ''"]),
        ('service "web" { policy = "read" intentions = "list" }', ["intentions: is one of"]),
        (
            'node "n" { policy = "read" intentions = "read" }',
            ['node "n".intentions: no such field'],
        ),
        ('key "k" { policy = "lst" }', ["read, write, deny, list, found 'lst'"]),
        ('service { policy = "read" }', ['service "policy": expected { policy']),
        ('service = "read"', ["a rule needs a name"]),
        ("operator = 1", ["operator: is one of read, write, deny, found 1"]),
        ('operator { policy = "read" }', ["operator: is one of read, write, deny, found a block"]),
        ('operator_prefix "" { policy = "read" }', ["operator_prefix: no such resource"]),
        ('namespace "x" { policy = "read" }', ["namespace: no such resource"]),
        ('service "web" {', ["expected"]),
        ("[]", ["rules are a table"]),
    ],
)
def test_what_is_wrong_is_named(text, problems):
    with pytest.raises(RulesError) as raised:
        parse_rules(text)
    found = "\n".join(map(str, raised.value.problems))
    assert all(problem in found for problem in problems), found


def test_every_problem_is_told_at_once_with_its_line():
    with pytest.raises(RulesError) as raised:
        parse_rules('x = "read"\n\nnode "n" {\n  policy = "maybe"\n}\n')
    assert [problem.line for problem in raised.value.problems] == [1, 4]


def test_a_text_has_a_limit():
    with pytest.raises(RulesError, match=f"at most {LIMIT_BYTES} bytes"):
        parse_rules("#" * (LIMIT_BYTES + 1))


ACCESS = st.sampled_from(["read", "write", "deny"])
NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)


@given(
    st.dictionaries(st.sampled_from(SINGLE), ACCESS),
    st.dictionaries(
        st.sampled_from([*NAMED, *(f"{one}_prefix" for one in NAMED)]),
        st.dictionaries(NAMES, ACCESS, max_size=3),
    ),
)
def test_what_is_written_is_read(single, named):
    document = single | {
        key: {name: {"policy": access} for name, access in names.items()}
        for key, names in named.items()
    }
    found = set(parse_rules(json.dumps(document)))
    expected = {Rule(resource=key, access=Access(access)) for key, access in single.items()}
    for key, names in named.items():
        resource, is_prefix = key.removesuffix("_prefix"), key.endswith("_prefix")
        expected |= {
            Rule(resource=resource, name=name, access=Access(access), is_prefix=is_prefix)
            for name, access in names.items()
        }
    assert found == expected


@given(st.text(max_size=60))
def test_any_text_is_rules_or_a_problem(text):
    with contextlib.suppress(RulesError):
        assert isinstance(parse_rules(text), tuple)
