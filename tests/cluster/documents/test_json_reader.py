"""The JSON reader: what the standard library says of valid documents, and one fault for any other."""

import json

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cluster.documents.document import Items, Table, plain
from cluster.documents.faults import MAX_CHARACTERS, MAX_DEPTH
from cluster.documents.json_reader import read_json

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)

NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)  # each example is a hundred readings


@settings(deadline=None)
@given(documents, st.sampled_from([None, 1]), st.booleans())
def test_agrees_with_the_standard_library(document, indent, ascii_only):
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    node, faults = read_json(text)
    assert faults == ()
    assert plain(node) == json.loads(text)
    assert [type(value) for value in leaves(plain(node))] == [
        type(value) for value in leaves(json.loads(text))
    ]


@settings(deadline=None, max_examples=50, phases=NO_SHRINKING)
@given(documents.filter(lambda document: isinstance(document, list | dict | str)))
def test_every_prefix_is_one_fault(document):
    text = json.dumps(document)
    for end in range(len(text)):
        node, faults = read_json(text[:end])
        assert node is None
        assert len(faults) == 1
        assert faults[0].message
        assert faults[0].line == 1


@settings(deadline=None)
@given(st.text(alphabet='{}[]",:\\u0d8truefalsn \n1.eE-+', max_size=40))
def test_accepts_nothing_that_the_standard_library_refuses(text):
    node, faults = read_json(text)
    if node is not None and not faults:
        assert plain(node) == json.loads(text)


def leaves(value):
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    return [value]


def test_lines():
    node, _ = read_json('{\n "a": 1,\n\n "b": [\n  true\n ]\n}')
    assert isinstance(node, Table)
    a, b = node.members
    assert (node.line, a.line, b.line) == (1, 2, 4)
    assert isinstance(b.node, Items)
    assert b.node.nodes[0].line == 5


def test_every_repeated_key_is_told_and_the_first_value_stays():
    node, faults = read_json('{"a": 1,\n"a": 2, "b": {"c": 1,\n"c": 2}}')
    assert plain(node) == {"a": 1, "b": {"c": 1}}
    assert [(fault.line, fault.message) for fault in faults] == [
        (2, "key 'a' was already given on line 1"),
        (3, "key 'c' was already given on line 2"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "expected a value, found the end of the text"),
        ("{}\n{}", 2, "'{' after the end of the document"),
        ("[1,\n]", 2, "a comma stands before ']'"),
        ('{"a" 1}', 1, "expected ':' after the key 'a', found '1'"),
        ("{a: 1}", 1, "expected a key in double quotes, found 'a'"),
        ("[1 2]", 1, "expected ',' or ']', found '2'"),
        ("NaN", 1, "expected a value, found 'NaN'"),
        ("[-Infinity]", 1, "expected a value, found '-Infinity'"),
        ("01", 1, "expected a value, found '01'"),
        ("1.", 1, "expected a value, found '1.'"),
        ("1e999", 1, "a number is too large or not a number"),
        ("18446744073709551616", 1, "an integer is larger than 64 bits"),
        ("1" * 5000, 1, "a number has more than 400 digits"),
        ('"a\nb"', 1, "a control character stands in a string"),
        ('"a', 1, "the text ends in a string"),
        (r'"\x"', 1, r"unknown escape '\\x' in a string"),
        (r'"\ud800"', 1, "half a surrogate pair in a string"),
        ("// no\n1", 1, "expected a value, found '//'"),
        ("[" * (MAX_DEPTH + 2), 1, f"nested deeper than {MAX_DEPTH} levels"),
        ('{"a":' * (MAX_DEPTH + 2), 1, f"nested deeper than {MAX_DEPTH} levels"),
    ],
)
def test_refused(text, line, message):
    node, faults = read_json(text)
    assert node is None
    assert [(fault.line, fault.message) for fault in faults] == [(line, message)]


def test_size_limit():
    node, faults = read_json(" " * (MAX_CHARACTERS + 1))
    assert node is None
    assert "too many" in faults[0].message


def test_byte_order_mark_is_skipped():
    assert read_json("\ufeff1")[1] == ()
