"""Filter expressions: what each operator says of each shape, and what is refused."""

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.filters import FilterError, compile_filter
from cluster.filters.catalog import HEALTH, NODE, SERVICE
from cluster.filters.shapes import ANYTHING, TEXT, Record

ENTRY = {
    "Node": {"Node": "n1", "Meta": {"rack": "r7"}},
    "Service": {
        "ID": "api-1",
        "Service": "api",
        "Port": 8080,
        "Tags": ["blue", "v1"],
        "Meta": {"version": "v1", "a-b": "", "odd key": "x", "not": "1"},
        "Connect": {"Native": True},
        "TaggedAddresses": {"lan": {"Address": "10.0.0.1", "Port": 80}},
        "Proxy": {"Config": {"deep": [{"n": 3}, {"n": 4, "on": False}], "ratio": 1.5}},
    },
    "Checks": [{"Status": "passing", "Name": "up"}, {"Status": "warning", "Name": "slow"}],
}
HOLD = [
    "Service.Meta.version == v1",
    'Service.Meta.version == "v1"',
    "Service.Meta.version==`v1`",
    "Service.Port == 8080",
    'Service.Port == "8080"',
    'Service.Port == "0x1f90"',
    "Service.Port != 80",
    "Service.Connect.Native == true",
    "Service.Connect.Native == T",
    "Service.EnableTagOverride == false",
    'Service.Kind == ""',
    'Service.Proxy.DestinationServiceName == ""',
    "Service.Proxy.MeshGateway.Mode != local",
    "blue in Service.Tags",
    '"blue" in Service.Tags',
    "Service.Tags contains blue",
    "Service.Tags not contains green",
    "green not in Service.Tags",
    "api in Service.ID",
    "version in Service.Meta",
    "Service.Meta contains version",
    "other not in Service.Meta",
    "Service.Tags is not empty",
    "Service.Proxy.Upstreams is empty",
    "Service.Kind is empty",
    "Service.ID is not empty",
    'Service.Meta["odd key"] == x',
    "Service.Meta[`odd key`] == x",
    'Service.Meta["a-b"] == ""',
    'Service.Meta["a-b"] is empty',
    "Service.Meta.not == 1",
    '"/Service/Meta/version" == "v1"',
    '"/Service/Meta/a-b" is empty',
    "Service.TaggedAddresses.lan.Port == 80",
    "Service.ID matches `^api-[0-9]+$`",
    "Service.ID matches pi",
    "Service.ID not matches `^pi`",
    "Checks.Status == warning",
    "Checks.Status == passing",
    "Checks.Status != passing",
    "Checks.Status matches `^warn`",
    "Node.Meta.rack == r7 and Service.Service == api",
    "Node.Meta.rack == r8 or Service.Service == api",
    "not Node.Meta.rack == r8",
    "not not Node.Meta.rack == r7",
    "not (Node.Node == n2 or Service.Port == 1)",
    "not Node.Node == n2 and Service.Port == 8080",
    "Node.Node == n1 or Node.Node == n1 and Node.Node == n2",
    "  ( Node.Node == n1 )\n and\tService.Port==8080 ",
    "Service.Proxy.Config.deep.n == 4",
    "Service.Proxy.Config.deep.on == false",
    "Service.Proxy.Config.ratio == 1.5",
    "Service.Proxy.Config.deep is not empty",
    "deep in Service.Proxy.Config",
]
ABSENT_KEY = {
    "Service.Meta.none == x": False,
    "Service.Meta.none != x": True,
    "x in Service.Meta.none": False,
    "x not in Service.Meta.none": True,
    "Service.Meta.none is empty": True,
    "Service.Meta.none is not empty": False,
    "Service.Meta.none matches `.*`": False,
    "Service.Meta.none not matches `.*`": True,
    "Service.Proxy.Config.none == x": False,
    "Service.Proxy.Config.none != x": True,
    "Service.Proxy.Config.none is empty": True,
}
REFUSED = {
    "": "the expression ends too early",
    "   ": "the expression ends too early",
    "Node.Node": "the expression ends too early",
    "Node.Node ==": "the expression ends too early",
    "(Node.Node == a": "the expression ends too early",
    "Node.Node == a)": "unexpected ')' at character 15",
    "Node.Node = a": "unexpected '= a' at character 11",
    "Node.Node == a b": "unexpected 'b' at character 16",
    "Node.Node isempty": "unexpected 'isempty'",
    "Node.Node == 'a'": "unexpected",
    'Node.Node == "a': "unexpected",
    "Service.Port == 007": "unexpected '007'",
    'Node.Node == "\\d"': "unknown escape",
    "3 == Node.Node": "3 is no selector",
    '"a b" == c': '"a b" is no selector',
    "node.Node == a": "selector node.Node is not valid: no 'node', there is Checks, Node, Service",
    "Node.Name == a": "no 'Name', there is Address, CreateIndex",
    "Node.Node.deeper == a": "there is nothing",
    "Service == a": "cannot be asked with '==': it is an object",
    "Service.Tags == a": "cannot be asked with '==': it is a list",
    "Service.Meta == a": "cannot be asked with '==': it is a map",
    "Service.Port is empty": "cannot be asked with 'is empty': it is an integer",
    "1 in Service.Port": "cannot be asked with 'in': it is an integer",
    "Service.Port matches `1`": "cannot be asked with 'matches': it is an integer",
    "Service.Port == web": "selector Service.Port is an integer, which 'web' is not",
    "Service.Connect.Native == yes": "is true or false, which 'yes' is not",
    "Node.Node matches `(`": "'(' is no regular expression: missing ): (",
}


@pytest.mark.parametrize("expression", HOLD)
def test_it_holds_and_its_opposite_does_not(expression):
    assert compile_filter(expression, HEALTH).matches(ENTRY)
    assert not compile_filter(f"not ({expression})", HEALTH).matches(ENTRY)


@pytest.mark.parametrize(("expression", "expected"), ABSENT_KEY.items())
def test_a_key_that_a_map_does_not_have(expression, expected):
    assert compile_filter(expression, HEALTH).matches(ENTRY) is expected


@pytest.mark.parametrize("expression", ["Checks.Status == x", "Checks.Status != x"])
def test_nothing_holds_for_any_element_of_an_empty_list(expression):
    assert not compile_filter(expression, HEALTH).matches(ENTRY | {"Checks": []})


def test_and_binds_tighter_than_or_and_not_tighter_than_both():
    table = [(a, b, c) for a in "tf" for b in "tf" for c in "tf"]
    shape = Record({"a": TEXT, "b": TEXT, "c": TEXT})
    mixed = compile_filter("not a == t and b == t or c == t", shape).matches
    for a, b, c in table:
        assert mixed({"a": a, "b": b, "c": c}) is ((a == "f" and b == "t") or c == "t")


@pytest.mark.parametrize(("expression", "reason"), REFUSED.items())
def test_one_sentence_says_what_is_wrong(expression, reason):
    with pytest.raises(FilterError) as caught:
        compile_filter(expression, HEALTH)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value).replace(expression, "")


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("x" * 5000, "5000 characters"),
        (" or ".join(["Node==a"] * 200), "parts, at most 150"),
        ("not " * 200 + "Node==a", "parts, at most 150"),
        ("not (Node==a or " * 100 + "Node==a" + ")" * 100, "parts, at most 150"),
    ],
)
def test_a_hostile_expression_is_too_much(expression, reason):
    with pytest.raises(FilterError, match=reason):
        compile_filter(expression, NODE)


def test_parentheses_as_deep_as_they_like_are_harmless():
    deep = "(" * 2000 + "Node==n1" + ")" * 2000
    assert compile_filter(deep, NODE).matches({"Node": "n1"})


def test_a_hostile_pattern_takes_linear_time():
    matches = compile_filter("Node matches `(a*)*(a|aa)+$`", NODE).matches
    began = time.process_time()
    assert not matches({"Node": "a" * 50_000 + "b"})
    assert time.process_time() - began < 2


@given(st.text(max_size=60))
def test_whatever_is_typed_gives_a_filter_or_a_sentence(text):
    with contextlib.suppress(FilterError):
        compile_filter(text, SERVICE).matches({})


_LEAVES = st.sampled_from(
    ["Node == a", "Node != a", "Meta.k is empty", "ID matches `a`", "x in Meta"]
)
_EXPRESSIONS = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda one: f"not ({one})"),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(
            lambda three: f"({three[0]}) {three[1]} ({three[2]})"
        ),
    ),
    max_leaves=8,
)
_ROWS = st.fixed_dictionaries(
    {},
    optional={
        "Node": st.sampled_from(["a", "b"]),
        "ID": st.sampled_from(["a", "b"]),
        "Meta": st.dictionaries(st.sampled_from(["k", "x"]), st.sampled_from(["", "a"])),
    },
)


@given(_EXPRESSIONS, _ROWS)
def test_not_is_always_the_opposite(expression, row):
    holds = compile_filter(expression, NODE).matches(row)
    assert compile_filter(f"not ({expression})", NODE).matches(row) is not holds


@given(_LEAVES, _ROWS)
def test_without_a_known_shape_absence_is_absence(expression, row):
    whole = {"Node": "", "ID": "", "Meta": {}} | row
    assert compile_filter(expression, ANYTHING).matches(whole) is compile_filter(
        expression, NODE
    ).matches(whole)


def test_the_same_expression_is_compiled_once():
    assert compile_filter("Node == a", NODE) is compile_filter("Node == a", NODE)


def test_what_regular_expressions_may_cost_is_bounded():
    """Anybody who may ask for a list may give one, and the coordinator compiles it in its one thread."""
    many = " or ".join(f'Node matches "a{number}"' for number in range(17))
    with pytest.raises(FilterError, match="17 regular expressions, at most 16"):
        compile_filter(many, NODE)
    with pytest.raises(FilterError, match="17 regular expressions"):
        compile_filter(f"not ({many})", NODE)
    with pytest.raises(FilterError, match="too large"):
        compile_filter(r'Node matches "(?i)\\pL{30}"', NODE)
    assert compile_filter(r'Node matches "(?i)^[\\pL\\pN_.-]+$"', NODE).matches({"Node": "Wéb-1"})
