"""The schema walk: weak reading, every problem with its path and line, nothing lost on the way."""

import pytest

from cluster.documents.document import from_plain
from cluster.documents.hcl_reader import read_hcl
from coordinator.entries.report import Finding, Report, around
from coordinator.entries.scalars import (
    MISSING,
    Decimal,
    Duration,
    EnterpriseOnly,
    Flag,
    Opaque,
    Tenancy,
    Text,
    Whole,
)
from coordinator.entries.schema import Field, ListOf, Object, OpaqueTable, TableOf, prune

INNER = Object(Field(name="CAFile", shape=Text()), Field(name="Port", shape=Whole(0, 9)))
OUTER = Object(
    Field(name="Name", shape=Text(), also=("Label",)),
    Field(name="Namespace", shape=Tenancy("namespace")),
    Field(name="Services", shape=ListOf(INNER)),
    Field(name="Only", shape=INNER),
    Field(name="Meta", shape=TableOf()),
    Field(name="Config", shape=OpaqueTable()),
    Field(name="Wait", shape=Duration()),
    Field(name="Zero", shape=Whole(), keep=True),
    Field(name="Later", shape=EnterpriseOnly()),
    Field(name="Any", shape=Opaque()),
    ignored=("CreateIndex",),
)


def read(value, shape=OUTER):
    report = Report()
    return shape.read(from_plain(value), "", report), [str(p) for p in report.problems]


@pytest.mark.parametrize(
    ("shape", "written", "value"),
    [
        (Text(), "x", "x"),
        (Text(), 80, "80"),
        (Text(), 1.5, "1.5"),
        (Text(), True, "1"),
        (Text(), False, "0"),
        (Whole(), "80", 80),
        (Whole(), " 80"[1:], 80),
        (Whole(), "-0x1f", -31),
        (Whole(), "", 0),
        (Whole(), 3.0, 3),
        (Whole(), True, 1),
        (Decimal(), "1.5", 1.5),
        (Decimal(), 2, 2.0),
        (Flag(), "true", True),
        (Flag(), "f", False),
        (Flag(), "", False),
        (Flag(), 1, True),
        (Flag(), False, False),
        (Duration(), "90s", "1m30s"),
        (Duration(), 15_000_000_000, "15s"),
        (Duration(), "", "0s"),
        (Opaque(), {"a_b": [1]}, {"a_b": [1]}),
        (OpaqueTable(), [{"a_b": 1}], {"a_b": 1}),
        (TableOf(), {"a_b": 1, "c": True, "d": None}, {"a_b": "1", "c": "1"}),
        (ListOf(), "x", ["x"]),
        (ListOf(INNER), {"CAFile": "x"}, [{"CAFile": "x"}]),
        (INNER, [{"CAFile": "x"}], {"CAFile": "x"}),
    ],
)
def test_weak_reading(shape, written, value):
    found, problems = read(written, shape)
    assert problems == []
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("shape", "written", "message"),
    [
        (Text(), [], "expected a string, found a list"),
        (Text(), {}, "expected a string, found an object"),
        (Whole(), "eight", "expected an integer, found 'eight'"),
        (Whole(), 1.5, "expected an integer, found '1.5'"),
        (Whole(), [], "expected an integer, found a list"),
        (Whole(0, 9), 10, "10 is not between 0 and 9"),
        (Whole(0, 9), -1, "-1 is not between 0 and 9"),
        (Decimal(), "x", "expected a number, found 'x'"),
        (Decimal(), "nan", "expected a number, found 'nan'"),
        (Decimal(), [], "expected a number, found a list"),
        (Flag(), "yes", "expected true or false, found 'yes'"),
        (Flag(), [], "expected true or false, found a list"),
        (Duration(), "15", "'15' has no unit: write 15s for seconds"),
        (Duration(), "-1s", "the duration -1s is negative"),
        (Duration(), -1, "the duration -1 is negative"),
        (Duration(), 1.5, "1.5 is no duration such as 15s"),
        (Duration(), True, "True is no duration such as 15s"),
        (Duration(), 2**63, "the duration is longer than 292 years"),
        (Duration(), [], "expected a duration, found a list"),
        (INNER, "x", "expected an object, found 'x'"),
        (INNER, [{}, {}], "expected an object, found a list"),
        (TableOf(), 1, "expected an object, found '1'"),
        (OpaqueTable(), [], "expected an object, found a list"),
        (Tenancy("partition"), [], "expected a string, found a list"),
    ],
)
def test_unreadable(shape, written, message):
    found, problems = read(written, shape)
    assert found is MISSING
    assert problems == [message]


def test_keys_fold_and_come_out_in_consuls_spelling():
    found, problems = read(
        {"name": "n", "services": [{"ca_file": "x"}, {"CaFILE": "y"}], "createindex": 7}
    )
    assert problems == []
    assert found == {"Name": "n", "Services": [{"CAFile": "x"}, {"CAFile": "y"}]}


def test_aliases():
    assert read({"label": "x"})[0] == {"Name": "x"}


def test_null_is_absence():
    assert read({"Name": None, "Services": None, "Only": None}) == ({}, [])


def test_default_tenancy_is_not_stored():
    found, problems = read({"Namespace": "default"})
    assert (prune(found, OUTER), problems) == ({}, [])
    assert read({"Namespace": "eng"})[1] == [
        "Namespace: namespace 'eng': namespaces are a Consul Enterprise feature"
    ]


def test_enterprise_only():
    assert read({"Later": {}}) == ({}, [])
    assert read({"Later": {"x": 1}})[0] == {"Later": {"x": 1}}
    assert read({"Later": {"x": 1}})[1] == ["Later: Later requires Consul Enterprise"]


def test_every_problem_at_once_with_path_and_line():
    node, _ = read_hcl(
        'Nmae = "x"\nServices = [\n{ CAFile = [] },\n{ Port = 12\n CAFiel = 1 }\n]\n'
        'Meta { a = {} }\nOnly { namespace = "default" }\nOnly { }\nWait = "x"\nZzz = 1\n'
    )
    report = Report("f.hcl")
    OUTER.read(node, "", report)
    assert [str(problem) for problem in report.sorted()] == [
        "f.hcl:1: Nmae: unknown field Nmae, did you mean Name?",
        "f.hcl:3: Services[0].CAFile: expected a string, found a list",
        "f.hcl:4: Services[1].Port: 12 is not between 0 and 9",
        "f.hcl:5: Services[1].CAFiel: unknown field CAFiel, did you mean CAFile?",
        "f.hcl:7: Meta.a: expected a string, found an object",
        "f.hcl:9: Only: given more than once",
        "f.hcl:10: Wait: 'x' is no duration such as 15s or 1h30m",
        "f.hcl:11: Zzz: unknown field Zzz",
    ]


def test_namespaces_where_there_is_none_are_an_enterprise_feature():
    _, problems = read({"Only": {"SourceNamespace": "default"}})
    assert problems == [
        "Only.SourceNamespace: unknown field SourceNamespace: "
        "namespaces are a Consul Enterprise feature"
    ]


def test_two_spellings_of_one_key():
    found, problems = read({"Name": "a", "name": "b"})
    assert found == {"Name": "a"}
    assert problems == ["Name: given twice, as Name and as name"]


def test_lenient_objects_skip_what_they_do_not_know():
    lenient = Object(Field(name="Name", shape=Text()), strict=False)
    assert read({"Name": "a", "Namespace": "x", "y": 1}, lenient) == ({"Name": "a"}, [])


def test_an_unreadable_element_keeps_its_place():
    found, problems = read([{"Port": 1}, "x", {"Port": 2}], ListOf(INNER))
    assert found == [{"Port": 1}, {}, {"Port": 2}]
    assert problems == ["[1]: expected an object, found 'x'"]


def test_prune_leaves_out_what_says_nothing():
    body = {
        "Services": [{"CAFile": "", "Port": 0}, {}],
        "Only": {"CAFile": ""},
        "Meta": {"a": ""},
        "Config": {"empty": {}},
        "Wait": "0s",
        "Zero": 0,
        "Name": "",
    }
    assert list(prune(body, OUTER).items()) == [
        ("Services", [{}, {}]),
        ("Meta", {"a": ""}),
        ("Config", {"empty": {}}),
        ("Zero", 0),
    ]


def test_rules_say_nothing_of_what_could_not_be_read():
    report = Report()
    OUTER.read(from_plain({"Nmae": "x", "Only": 7}), "", report)
    report.extend([Finding("Name", "no"), Finding("Only.Port", "no"), Finding("Wait", "yes")])
    assert [problem.path for problem in report.problems] == ["Nmae", "Only", "Wait"]


def test_around():
    assert list(around("a.b[1].c")) == ["a.b[1].c", "a.b[1]", "a.b", "a"]
