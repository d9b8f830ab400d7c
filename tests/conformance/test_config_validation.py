"""Consul's verdicts on single configuration entries, on upstream limits, and on single intentions."""

import pytest

from cluster.documents.document import from_plain
from coordinator.entries.entry import KINDS, check_entry, read_body
from coordinator.entries.intention_pair import validate_pair
from coordinator.entries.report import Report
from coordinator.entries.upstream_config import LIMITS, PASSIVE_HEALTH_CHECK


@pytest.mark.cases("config_validation")
def test_entry(case):
    checked, problems, _ = check_entry({"Kind": case["kind"]} | case["input"])
    told = "; ".join(str(problem) for problem in problems)
    if case["valid"] is not None:
        assert (checked is not None) is case["valid"], told
    if words := case.get("error_keywords"):
        assert any(word.lower() in told.lower() for word in words), (told, words)
    if "normalized" in case:
        body = read_body(from_plain(case["input"]), KINDS[case["kind"]], Report())
        assert without_empty(body) == without_empty(case["normalized"])
        assert checked is None or without_empty(checked.body) == without_empty(body)


@pytest.mark.cases("misc", op="upstream_limits_validate")
def test_upstream_limits(case):
    assert is_read(LIMITS, case["input"]) is case["expect"]["valid"]


@pytest.mark.cases("misc", op="passive_health_check_validate")
def test_passive_health_check(case):
    assert is_read(PASSIVE_HEALTH_CHECK, case["input"]) is case["expect"]["valid"]


@pytest.mark.cases("intentions", op="validate_pair_object")
def test_pair(case):
    problems = validate_pair(case["input"])
    assert (not problems) is case["expect"]["valid"], problems


def is_read(shape, plain):
    report = Report()
    shape.read(from_plain(plain), "", report)
    return not report.problems


def without_empty(value):
    if isinstance(value, dict):
        kept = {key: without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item or item is True}
    return [without_empty(item) for item in value] if isinstance(value, list) else value
