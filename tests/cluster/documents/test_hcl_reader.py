"""The HCL reader: python-hcl2 is the witness for what both read, Consul's own spelling for the rest."""

import json

import hcl2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.documents.document import Items, plain
from cluster.documents.faults import MAX_CHARACTERS, MAX_DEPTH
from cluster.documents.hcl_reader import read_hcl

KITCHEN_SINK = """\
# a comment
Kind = "service-intentions" // another
"Name" = "api"
/* and
   a third */
Meta { "a.b" = "x", c = true }
Sources = [
  {
    Name = "web" Action : "allow"
    Permissions = [{
      HTTP { PathPrefix = "/" Header = [{ Name = "x", Present = true }] }
    }],
  },
  null, -1.5e3, 0x1F,
]
text = <<EOT
one
  two $${x}
EOT
trimmed = <<-EOT
    one
      two

  EOT
block "with" label { x = 1 }
"""


def read(text):
    node, faults = read_hcl(text)
    assert faults == ()
    return plain(node)


def test_kitchen_sink():
    header = {"Name": "x", "Present": True}
    assert read(KITCHEN_SINK) == {
        "Kind": "service-intentions",
        "Name": "api",
        "Meta": {"a.b": "x", "c": True},
        "Sources": [
            {
                "Name": "web",
                "Action": "allow",
                "Permissions": [{"HTTP": {"PathPrefix": "/", "Header": [header]}}],
            },
            None,
            -1500.0,
            31,
        ],
        "text": "one\n  two ${x}\n",
        "trimmed": "one\n  two\n\n",
        "block": {"with": {"label": {"x": 1}}},
    }


def test_lines():
    node, _ = read_hcl(KITCHEN_SINK)
    assert [(member.key, member.line) for member in node.members] == [
        ("Kind", 2),
        ("Name", 3),
        ("Meta", 6),
        ("Sources", 7),
        ("text", 16),
        ("trimmed", 20),
        ("block", 25),
    ]


def test_windows_line_ends():
    assert read("a = 1\r\nb = <<E\r\nx\r\nE\r\nc = 2\r\n") == {"a": 1, "b": "x\r\n", "c": 2}


def test_blocks_of_one_name_become_a_list():
    node, faults = read_hcl("s { a = 1 }\ns { a = 2 }\nt { a = 3 }")
    assert faults == ()
    assert plain(node) == {"s": [{"a": 1}, {"a": 2}], "t": {"a": 3}}
    assert isinstance(node.members[0].node, Items)
    assert node.members[0].node.repeated


keys = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True).filter(
    lambda key: key not in {"true", "false", "null", "for", "if", "in", "else", "endif", "endfor"}
)
strings = st.text(st.characters(codec="ascii", min_codepoint=32, exclude_characters='"\\$%'))
values = st.recursive(
    st.booleans() | st.integers(0, 2**63) | strings,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)


def spell(value, level=0):
    """The value as HCL that both readers read."""
    if isinstance(value, dict):
        pad = "  " * (level + 1)
        inner = "".join(f"{pad}{key} = {spell(item, level + 1)}\n" for key, item in value.items())
        return "{\n" + inner + "  " * level + "}"
    if isinstance(value, list):
        return "[" + ", ".join(spell(item, level + 1) for item in value) + "]"
    return json.dumps(value)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(keys, values, max_size=4))
def test_agrees_with_python_hcl2(document):
    text = "".join(f"{key} = {spell(value)}\n" for key, value in document.items())
    options = hcl2.SerializationOptions(strip_string_quotes=True)
    assert read(text) == document == hcl2.loads(text, serialization_options=options)


@settings(deadline=None)
@given(st.text(alphabet='{}[]",:=\\$#/*<-\nEab01.eEx (+)u\ufeffü', max_size=60))
def test_never_raises(text):
    node, faults = read_hcl(text)
    assert node is not None or faults
    assert all(fault.message and fault.line >= 1 for fault in faults)


@settings(deadline=None)
@given(st.text(max_size=60))
def test_never_raises_on_any_text(text):
    node, faults = read_hcl(text)
    assert node is not None or faults


@pytest.mark.parametrize("end", range(len(KITCHEN_SINK)))
def test_every_prefix_reads_or_is_one_fault(end):
    node, faults = read_hcl(KITCHEN_SINK[:end])
    assert len(faults) <= 1
    assert node is not None or faults


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a = b", 1, "b is no value: a string stands in double quotes"),
        ("\na = var.b", 2, "the reference var.b is not evaluated here"),
        ("a = file(\n'x')", 1, "the function file is not evaluated here"),
        ("a = [for x in y : x]", 1, "a for expression is not evaluated here"),
        ("a = 1 + 2", 1, "the operator '+': no expressions here"),
        ("a = 1 == 2", 1, "the operator '==': no expressions here"),
        ("a = true ? 1 : 2", 1, "the operator '?': no expressions here"),
        ("a = (1)", 1, "the symbol '(': no expressions here"),
        ('a = "x ${y}"', 1, "the template '${y}' is not evaluated here; write $${ for ${"),
        ('a = "%{if}"', 1, "the template '%{if}' is not evaluated here; write %%{ for %{"),
        ("a = <<E\n${y}\nE\n", 1, "the template '${y}\\n' is not evaluated here; write $${ for ${"),
        ("a = 1\na = 2", 2, "key 'a' was already given on line 1"),
        ("a {}\na = 2", 2, "key 'a' was already given on line 1"),
        ("a = {}\na {}", 2, "key 'a' was already given on line 1"),
        ("a", 1, "expected '=' or '{' after 'a', found the end of the text"),
        ("a = ", 1, "expected a value, found the end of the text"),
        ("a = [1 2]", 1, "expected ',' or ']', found '2'"),
        ("a = 1, b = 2", 1, "expected a key, found ','"),
        ("a {\n", 2, "expected a key or '}', found the end of the text"),
        ('a = "x\ny"', 1, "a string is not closed before the end of its line"),
        (r'a = "\q"', 1, r"unknown escape '\\q' in a string"),
        (r'a = "\UFFFFFFFF"', 1, r"\UFFFFFFFF is no character"),
        ("a = <<E\nx", 1, "the heredoc E is not closed"),
        ("/* x", 1, "a comment is not closed"),
        ("a = 010", 1, "the number 010 begins with a zero"),
        ("a = 1e999", 1, "a number is too large or not a number"),
        ("a = 99999999999999999999", 1, "an integer is larger than 64 bits"),
        ("a = " + "1" * 5000, 1, "a number has more than 400 digits"),
        ("a {" * (MAX_DEPTH + 2), 1, f"nested deeper than {MAX_DEPTH} levels"),
        ("a = " + "[" * (MAX_DEPTH + 2), 1, f"nested deeper than {MAX_DEPTH} levels"),
        ("a" + ' "b"' * (MAX_DEPTH + 2) + "{}", 1, f"nested deeper than {MAX_DEPTH} levels"),
    ],
)
def test_refused(text, line, message):
    _, faults = read_hcl(text)
    assert [(fault.line, fault.message) for fault in faults] == [(line, message)]


def test_faults_that_do_not_end_the_reading_are_all_told():
    _, faults = read_hcl('a = b\nc = "${d}"\ne = 1\ne = 2\n')
    assert [fault.line for fault in faults] == [1, 2, 4]


def test_size_limit():
    assert "too many" in read_hcl(" " * (MAX_CHARACTERS + 1))[1][0].message
