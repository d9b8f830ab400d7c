"""Adding up what workers count: sums, exceptions, and what stays of the dead."""

import pytest

from cluster.messages import Family, Sample
from worker.node.aggregate import combine, departed, engine_of


def family(value, *, name="a_total", kind="counter", **labels):
    return Family(name=name, kind=kind, help="", samples=(Sample(name, labels, value),))


def values(families):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for one in families
        for sample in one.samples
    }


def test_equal_series_are_summed_and_others_kept_apart():
    one, other = (family(1, x="1", y="2"),), (family(2, y="2", x="1"), family(5, x="3"))
    combined = combine((one, other))
    assert values(combined) == {("a_total", ("x", "1"), ("y", "2")): 3, ("a_total", ("x", "3")): 5}
    assert len(combined) == 1


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("lockgate_connections_active", "gauge", 1),
        ("lockgate_upstream_healthy", "gauge", 0),
        ("lockgate_build_info", "gauge", 1),
        ("x", "info", 1),
        ("lockgate_hello_bytes_bucket", "histogram", 1),
    ],
)
def test_gauges_that_are_no_quantity_are_not_summed(name, kind, expected):
    groups = ((family(1, name=name, kind=kind),), (family(0, name=name, kind=kind),))
    assert values(combine(groups)) == {(name,): expected}
    assert values(combine(reversed(groups))) == {(name,): expected}


def test_info_of_two_workers_is_still_one():
    groups = ((family(1, name="x_info", kind="gauge"),),) * 2
    assert values(combine(groups)) == {("x_info",): 1}


def test_a_family_of_another_kind_is_left_out():
    groups = ((family(1, kind="counter"),), (family(9, kind="gauge"),))
    assert values(combine(groups)) == {("a_total",): 1}


def test_of_the_dead_counters_and_histograms_stay():
    kinds = ("counter", "gauge", "histogram", "info", "summary")
    stays = departed(family(1, name=kind, kind=kind) for kind in kinds)
    assert [one.name for one in stays] == ["counter", "histogram", "summary"]


@pytest.mark.parametrize(
    ("engines", "expected"),
    [
        ({}, ""),
        ({"native": 1.0}, "native"),
        ({"native": 1.0, "pure": 1.0}, "pure"),
        ({"native": 1.0, "pure": 0.0}, "native"),
    ],
)
def test_the_engine_of_a_node_is_the_slowest(engines, expected):
    families = (
        family(value, name="lockgate_relay_engine_info", kind="gauge", engine=engine)
        for engine, value in engines.items()
    )
    assert engine_of(families) == expected
