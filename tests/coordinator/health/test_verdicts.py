"""From results to a status: runs of one host, as Consul counts them, and the majority of hosts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.catalog import Health
from cluster.probes import Probe, ProbeKind, Verdict
from coordinator.health.probes import Thresholds
from coordinator.health.verdicts import Run, after, is_fresh, joined

P, W, C = Health.PASSING, Health.WARNING, Health.CRITICAL


def limits(passing=0, warning=0, critical=0):
    return Thresholds(
        success_before_passing=passing,
        failures_before_warning=warning or critical,
        failures_before_critical=critical,
    )


def statuses(results, thresholds):
    run, found = Run(), []
    for at, status in enumerate(results):
        run = after(run, Verdict(check="n/c", status=status, output=str(at)), thresholds, at)
        found.append(run.status)
    return found


@pytest.mark.parametrize(
    ("thresholds", "results", "found"),
    [
        (limits(), [P, C, P, W], [P, C, P, W]),
        (limits(passing=2), [C, P, P, C, P, P], [C, C, P, C, C, P]),
        (limits(passing=3), [P, P, P], [None, None, P]),
        (limits(passing=2), [W, P, C], [None, P, C]),
        (limits(critical=3), [P, C, C, C, C], [P, P, P, C, C]),
        (limits(critical=3), [P, C, C, P, C, C, C], [P, P, P, P, P, P, C]),
        (limits(warning=1, critical=3), [P, C, C, C, P], [P, W, W, C, P]),
        (limits(warning=2, critical=3), [P, C, C, C], [P, P, W, C]),
        (limits(critical=2), [C, C], [None, C]),
    ],
)
def test_a_host_changes_its_mind_after_so_many_results_in_a_row(thresholds, results, found):
    assert statuses(results, thresholds) == found


@pytest.mark.parametrize(
    ("hosts", "status"),
    [
        ([P], P),
        ([C], C),
        ([P, C], P),  # of two that disagree the better one counts
        ([W, C], W),
        ([P, W], P),
        ([C, C, P], C),
        ([C, P, P], P),
        ([C, W, P], W),
        ([C, C, W, P], W),
        ([C, C, P, P], P),
        ([None, C], C),
    ],
)
def test_the_majority_of_hosts_decides(hosts, status):
    runs = [Run(status=one, output=str(one), at=0) for one in hosts]
    found = joined(runs)
    assert found is not None
    assert found[0] is status
    assert joined(reversed(runs))[0] is status


def test_who_has_not_decided_has_no_vote():
    assert joined([]) is None
    assert joined([Run(), Run()]) is None


def test_the_output_is_one_of_a_host_that_says_so():
    runs = [Run(status=P, output="up"), Run(status=C, output="down"), Run(status=C, output="gone")]
    assert joined(runs) == (C, "down")
    assert joined([Run(status=C, output="down"), Run(status=P, output="up")]) == (P, "up")


@given(st.lists(st.sampled_from(list(Health)), min_size=1))
def test_one_more_critical_host_never_makes_it_better(hosts):
    order = list(Health)
    before = joined(Run(status=one) for one in hosts)
    later = joined(Run(status=one) for one in [*hosts, C])
    assert order.index(later[0]) >= order.index(before[0])


def test_a_result_is_fresh_for_three_rounds():
    probe = Probe(
        check="n/c", kind=ProbeKind.TCP, target="h:1", interval_seconds=10, timeout_seconds=2
    )
    run = Run(status=P, at=100.0)
    assert is_fresh(run, probe, 136.0)
    assert not is_fresh(run, probe, 136.1)
    assert not is_fresh(Run(), probe, 0.0)
