"""Files of entries, definitions and registrations: golden texts, and every mistake at once."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.documents.reading import is_json
from coordinator.entries import files
from coordinator.entries.entry import KINDS
from coordinator.entries.load import (
    EntryItem,
    RegistrationItem,
    ServiceItem,
    load_files,
    load_text,
)

BROKEN = """\
Kind = "terminating-gateway"
Name = "egress"
Services = [
  { Name = "billing", CertFile = "/crt" },
  { Name = "mainframe", Prot = 1 },
  { Name = "billing" },
]
"""

DEFINITIONS = """\
service {
  kind = "terminating-gateway"
  name = "egress"
  port = 8443
}
service {
  name = "web"
  check {
    http     = "http://127.0.0.1"
    interval = "10s"
  }
}
services = [{ name = "db" }]
"""

LIST = [
    {"Kind": "service-defaults", "Name": "api", "Protocol": "http"},
    {"Node": "ext", "Address": "10.0.0.1", "Service": {"Service": "billing", "Port": 1}},
    {"service": {"name": "web"}},
    {"services": [{"name": "a"}, {"name": "b"}]},
]


def told(loaded):
    return [str(problem) for problem in loaded.problems]


def test_three_mistakes_are_three_problems_with_file_line_and_path():
    loaded = load_text("gw.hcl", BROKEN)
    assert loaded.items == ()
    assert told(loaded) == [
        "gw.hcl:4: Services[0].CAFile: service billing must have a CertFile, CAFile and KeyFile, "
        "or CAFile alone; missing: CAFile, KeyFile",
        "gw.hcl:5: Services[1].Prot: unknown field Prot",
        "gw.hcl:6: Services[2].Name: service billing is linked more than once, "
        "first as Services[0]",
    ]


def test_faults_of_the_text_and_of_the_meaning_together():
    text = 'Kind = "service-defaults"\nName = web\nProtocol = "smtp"\nProtocol = "tcp"\n'
    assert [(problem.line, problem.path) for problem in load_text("x.hcl", text).problems] == [
        (2, ""),
        (3, "Protocol"),
        (4, ""),
    ]


def test_definitions():
    loaded = load_text("services.hcl", DEFINITIONS)
    assert loaded.problems == ()
    assert all(isinstance(item, ServiceItem) for item in loaded.items)
    assert [(item.definition["Service"]["ID"], item.line) for item in loaded.items] == [
        ("egress", 1),
        ("web", 6),
        ("db", 13),
    ]


def test_a_list_in_json():
    loaded = load_text("all", json.dumps(LIST, indent=1))
    assert loaded.problems == ()
    kinds = [type(item) for item in loaded.items]
    assert kinds == [EntryItem, RegistrationItem, ServiceItem, ServiceItem, ServiceItem]
    assert loaded.items[0].entry.body == LIST[0]


def test_paths_of_definitions():
    loaded = load_text("x.hcl", 'service {\n}\nservice {\n port = "x"\n name = "a"\n}\n')
    assert told(loaded) == [
        "x.hcl:1: service[0].Name: a service's Name is required",
        "x.hcl:4: service[1].Port: expected an integer, found 'x'",
    ]
    assert told(load_text("y.json", '{"service": 1, "ports": {}}')) == [
        "y.json:1: service: expected an object, found '1'",
        "y.json:1: ports: unknown field ports beside service definitions",
    ]


def test_what_is_nothing_we_know():
    for text in ('{"Name": "x"}', "[1]", '"x"', "[[]]"):
        [problem] = load_text("x.json", text).problems
        assert problem.message.startswith("neither a configuration entry (Kind)")


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "service = []", "{}", "[]", "[{}]"])
def test_an_empty_document_is_a_warning(text):
    loaded = load_text("x", text)
    assert (loaded.items, loaded.problems) == ((), ())
    assert [str(warning) for warning in loaded.warnings] == ["x:1: the document holds nothing"]


def test_warnings_come_with_their_place():
    text = (
        '{"Kind": "terminating-gateway", "Name": "g",\n"Services": [{"Name": "a", "CAFile": "b"}]}'
    )
    loaded = load_text("x.json", text)
    assert len(loaded.items) == 1
    assert str(loaded.warnings[0]) == "x.json:2: Services[0].SNI: TLS is set for a without SNI"


def test_choice_of_the_reader():
    assert is_json("a.json", "x = 1")
    assert not is_json("a.hcl", "{}")
    assert is_json("a", " \n\ufeff{")
    assert is_json("-", "[")
    assert not is_json("-", 'Kind = "x"')


def test_files(tmp_path):
    (tmp_path / "b.json").write_text(json.dumps(LIST[0]))
    (tmp_path / "a.hcl").write_text(BROKEN)
    (tmp_path / "c.txt").write_text("not read")
    (tmp_path / "d.hcl").mkdir()
    (tmp_path / "latin.hcl").write_bytes(b'a = 1\nb = "\xe9"\n')
    (tmp_path / "empty").mkdir()
    missing = tmp_path / "missing.hcl"
    loaded = load_files([tmp_path, missing, tmp_path / "empty"])
    assert [item.entry.name for item in loaded.items] == ["api"]
    assert [(problem.file, problem.line) for problem in loaded.problems] == [
        (str(tmp_path / "latin.hcl"), 2),
        (str(missing), 0),
        (str(tmp_path / "empty"), 0),
        *((str(tmp_path / "a.hcl"), line) for line in (4, 5, 6)),
    ]


def test_a_file_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 3)
    (tmp_path / "a.json").write_text("[]  ")
    assert told(load_files([tmp_path])) == [f"{tmp_path}/a.json: larger than 3 bytes"]


def test_the_same_thing_twice(tmp_path):
    first, second = tmp_path / "1.json", tmp_path / "2.json"
    first.write_text(json.dumps(LIST))
    second.write_text(json.dumps([LIST[0], LIST[1], LIST[2]], indent=1))
    loaded = load_files([first, second])
    assert told(loaded) == [
        f"{second}:2: service-defaults api is already defined in {first}:1",
        f"{second}:7: registration of ext billing is already defined in {first}:1",
        f"{second}:16: service web is already defined in {first}:1",
    ]


def test_every_prefix_of_a_list_is_one_problem():
    text = json.dumps(LIST, indent=1)
    for end in range(len(text)):
        loaded = load_text("x.json", text[:end])
        assert len(loaded.problems) == 1, text[:end]


def test_no_prefix_of_definitions_raises():
    for end in range(len(DEFINITIONS)):
        loaded = load_text("x.hcl", DEFINITIONS[:end])
        assert all(problem.message for problem in loaded.problems)


keys = st.sampled_from(
    ["Kind", "Name", "Node", "Address", "Service", "service", "services", "Port", "Proxy", "Meta"]
) | st.sampled_from(
    ["Sources", "Services", "Action", "Permissions", "HTTP", "JWT", "Precedence", "Type", "Checks"]
)
keys |= st.sampled_from(
    ["Destination", "UpstreamConfig", "Connect", "SidecarService", "Config", "AccessLogs"]
)
keys |= st.sampled_from(
    ["Routes", "Match", "Splits", "Weight", "Subsets", "Filter", "Redirect", "Failover", "Targets"]
)
keys |= st.sampled_from(
    ["LoadBalancer", "HashPolicies", "CookieConfig", "Listeners", "Hosts", "TLS", "SDS", "Remote"]
)
words = st.sampled_from([*KINDS, "", "*"])
things = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=25,
)


@settings(max_examples=400, deadline=None)
@given(things)
def test_nothing_raises(thing):
    loaded = load_text("x.json", json.dumps(thing))
    assert loaded.items or loaded.problems or loaded.warnings


@settings(max_examples=300, deadline=None)
@given(words, st.dictionaries(keys, things, max_size=6))
def test_no_entry_raises(kind, body):
    loaded = load_text("x.json", json.dumps(body | {"Kind": kind}))
    assert bool(loaded.items) is not bool(loaded.problems)
