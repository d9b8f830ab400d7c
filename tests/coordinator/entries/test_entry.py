"""Decoding an entry: kinds we have, kinds we do not have yet, and what is stored."""

import pytest

from cluster.documents.hcl_reader import read_hcl
from cluster.errors import Problem
from coordinator.entries.entry import KINDS, LATER, check_entry, decode_entry

OF_ITS_OWN = {"proxy-defaults": "global", "mesh": "mesh", "exported-services": "default"}
NAMES = {kind: OF_ITS_OWN.get(kind, "web") for kind in KINDS}
WANTING = {"Sources", "Splits", "JSONWebKeySet"}  # what some kind must have


def told(plain, **options):
    checked, problems, _ = check_entry(plain, **options)
    assert checked is None
    return [str(problem) for problem in problems]


@pytest.mark.parametrize("kind", LATER)
def test_kinds_of_consul_that_we_lack(kind):
    assert told({"Kind": kind, "Name": "x"}) == [f"Kind: kind {kind} is not supported yet"]


@pytest.mark.parametrize(
    ("plain", "problem"),
    [
        ({"Kind": "service-default"}, "unknown kind 'service-default', did you mean service-"),
        ({"Kind": "teapot"}, "Kind: unknown kind 'teapot'"),
        ({"Name": "x"}, "Kind: Kind is required and is a string"),
        ({"Kind": ""}, "Kind: Kind is required and is a string"),
        ({"Kind": 7}, "Kind: Kind is required and is a string"),
        ({"Kind": {}}, "Kind: Kind is required and is a string"),
        ([], "a configuration entry is an object"),
        ({"Kind": "mesh", "x": float("nan")}, "a number is too large or not a number"),
    ],
)
def test_no_kind_of_entry(plain, problem):
    [found] = told(plain)
    assert problem in found


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in OF_ITS_OWN])
def test_a_name_is_required(kind):
    assert "Name: Name is required" in told({"Kind": kind, "Sources": [], "Name": ""})


@pytest.mark.parametrize("kind", KINDS)
def test_what_every_kind_refuses(kind):
    problems = told(
        {
            "kind": kind,
            "Name": NAMES[kind],
            "Namespace": "eng",
            "Partition": "east",
            "Sources": [],
            "Frobnicate": 1,
            "CreateIndex": 1,
            "ModifyIndex": 1,
            "Hash": 7,
            "Meta": {str(n): "" for n in range(62)} | {"k" * 129: "", "v": "x" * 513},
        }
    )
    wanted = [
        "Namespace: namespace 'eng': namespaces are a Consul Enterprise feature",
        "Partition: partition 'east': partitions are a Consul Enterprise feature",
        "Frobnicate: unknown field Frobnicate",
        "Meta." + "k" * 128 + ": the key exceeds the maximum length of 128 bytes",
        "Meta.v: the value of 513 bytes exceeds the maximum of 512",
    ]
    assert set(wanted) <= set(problems)
    paths = {problem.split(":")[0] for problem in problems}
    assert paths - WANTING == {problem.split(":")[0] for problem in wanted}


@pytest.mark.parametrize("kind", KINDS)
def test_too_much_meta(kind):
    problems = told({"Kind": kind, "Name": NAMES[kind], "Meta": {str(n): "" for n in range(65)}})
    assert "Meta: 65 pairs exceed the maximum of 64" in problems


def test_what_is_stored():
    checked, problems, warnings = check_entry(
        {
            "ModifyIndex": 9,
            "meta": {"Owner_Name": "x"},
            "name": "egress",
            "kind": "terminating-gateway",
            "services": {"name": "billing", "ca_file": "", "sni": "billing.example"},
            "namespace": "default",
        }
    )
    assert problems == warnings == ()
    assert (checked.kind, checked.name) == ("terminating-gateway", "egress")
    assert list(checked.body.items()) == [
        ("Kind", "terminating-gateway"),
        ("Name", "egress"),
        ("Services", [{"Name": "billing", "SNI": "billing.example"}]),
        ("Meta", {"Owner_Name": "x"}),
    ]


def test_checking_what_is_stored_changes_nothing():
    written = {
        "Kind": "service-intentions",
        "Name": "api",
        "Sources": [{"Name": "*", "Action": "deny"}, {"Name": "a", "Action": "allow"}],
    }
    stored = check_entry(written)[0]
    assert check_entry(stored.body)[0] == stored


def test_lines_and_file():
    node, _ = read_hcl('Kind = "service-defaults"\n\nName = "*"\nProtocol = "smtp"\n')
    _, problems, _ = decode_entry(node, "d.hcl")
    assert problems == (
        Problem(
            message="the Name must be that of a service, a wildcard is not supported",
            path="Name",
            file="d.hcl",
            line=3,
        ),
        Problem(
            message="invalid value 'smtp' for Protocol, must be one of tcp, http, http2, grpc",
            path="Protocol",
            file="d.hcl",
            line=4,
        ),
    )
