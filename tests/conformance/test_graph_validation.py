"""Writes and deletes that Consul accepts or refuses because of other entries."""

import pytest

from coordinator.entries.cross import Index, judge
from coordinator.entries.entry import KINDS, check_entry


@pytest.mark.cases("graph_validation")
def test_graph(case):
    index = Index(stored(body) for body in case["existing"])
    if deleted := case["operation"].get("delete"):
        change = {(deleted["Kind"], deleted["Name"]): None}
    else:
        body = stored(case["operation"]["write"])
        change = {(body["Kind"], body["Name"]): body}
    told = "; ".join(str(problem) for problem in judge(index, change)).lower()
    assert (not told) is case["expect"]["accepted"], told
    for word in case["expect"].get("error_keywords", ()):
        assert word.lower() in told


def stored(body):
    """As it is kept, if it is of a kind that we read."""
    if body["Kind"] not in KINDS:
        return body
    checked, problems, _ = check_entry(body)
    assert checked is not None, problems
    return checked.body
