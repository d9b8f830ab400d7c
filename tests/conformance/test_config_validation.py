"""Consul's own verdicts on single configuration entries, run by path from LOCKGATE_CONFORMANCE.

Covers the kinds we have; the others must be refused as not supported yet, and are counted.
"""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from coordinator.entries.document import from_plain
from coordinator.entries.entry import KINDS, check_entry, read_body
from coordinator.entries.intention_pair import validate_pair
from coordinator.entries.report import Report
from coordinator.entries.upstream_config import LIMITS, PASSIVE_HEALTH_CHECK

ROOT = Path(__file__).resolve().parents[2]
CASES = Path(os.environ.get("LOCKGATE_CONFORMANCE", "../shared/conformance"))
CONSUL = (CASES if CASES.is_absolute() else ROOT / CASES) / "consul"
SHAPES = {
    "upstream_limits_validate": LIMITS,
    "passive_health_check_validate": PASSIVE_HEALTH_CHECK,
}


def cases(name):
    """The cases of one file; nothing where it is missing, which `test_cases_are_there` reports."""
    file = CONSUL / name
    return json.loads(file.read_text())["cases"] if file.is_file() else []


def chosen(name, wanted):
    return [pytest.param(case, id=case["id"]) for case in cases(name) if wanted(case)]


def without_empty(value):
    if isinstance(value, dict):
        kept = {key: without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item or item is True}
    return [without_empty(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", ["config_validation.json", "misc.json", "intentions.json"])
def test_cases_are_there(name):
    assert cases(name), f"no conformance cases in {CONSUL / name}: set LOCKGATE_CONFORMANCE"


@pytest.mark.parametrize("case", chosen("config_validation.json", lambda c: c["kind"] in KINDS))
def test_entry(case):
    checked, problems, _ = check_entry(case["input"])
    told = "; ".join(str(problem) for problem in problems)
    if case["valid"] is not None:
        assert (checked is not None) is case["valid"], told
    if words := case.get("error_keywords"):
        assert any(word.lower() in told.lower() for word in words), (told, words)
    if "normalized" in case:
        body = read_body(from_plain(case["input"]), KINDS[case["kind"]], Report())
        assert without_empty(body) == without_empty(case["normalized"])
        assert checked is None or without_empty(checked.body) == without_empty(body)


def test_kinds_of_later_issues_are_refused():
    later = [c for c in cases("config_validation.json") if c["kind"] not in KINDS]
    print("not yet covered:", dict(Counter(case["kind"] for case in later)))
    for case in later:
        checked, problems, _ = check_entry({"Kind": case["kind"]} | case["input"])
        assert checked is None
        assert "not supported yet" in problems[0].message


@pytest.mark.parametrize("case", chosen("misc.json", lambda c: c["op"] in SHAPES))
def test_limits(case):
    report = Report()
    SHAPES[case["op"]].read(from_plain(case["input"]), "", report)
    assert (not report.problems) is case["expect"]["valid"], report.problems


@pytest.mark.parametrize(
    "case", chosen("intentions.json", lambda c: c["op"] == "validate_pair_object")
)
def test_pair(case):
    problems = validate_pair(case["input"])
    assert (not problems) is case["expect"]["valid"], problems
