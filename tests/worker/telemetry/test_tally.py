"""Tallies beside the library's own families: the same numbers in, the same page out."""

import math

import prometheus_client as library
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from worker.telemetry.tally import Counts, Levels, Registry, Spread, Spreads

BUCKETS = (0.0005, 0.25, 1, 2.5, 1024, 1500000, 86400000)
LABELS = ("gateway", "service")
NAMES = st.sampled_from(("egress", 'a "b" \\ \n', ""))
AMOUNTS = st.floats(min_value=0, max_value=1e12) | st.integers(0, 2**40)
#: Everything `float` has, and every bound itself, from both sides.
OBSERVED = st.floats() | st.sampled_from(
    [near for b in BUCKETS for near in (b, math.nextafter(b, 0), math.nextafter(b, math.inf))]
)


@pytest.fixture(autouse=True, scope="module")
def no_creation_times():
    """The library adds them by default; a worker never sent them."""
    library.disable_created_metrics()
    yield
    library.enable_created_metrics()


def pages(theirs, ours, steps):
    """Both pages after the same steps: (values of the labels, method, amount)."""
    shown = []
    for make in (theirs, ours):
        registry = CollectorRegistry()
        family = make(registry)
        for values, method, amount in steps:
            getattr(family.labels(*values), method)(amount)
        shown.append(generate_latest(registry).decode())
    return shown


def same(theirs, ours, steps):
    expected, found = pages(theirs, ours, steps)
    assert found == expected


@given(st.lists(st.tuples(st.tuples(NAMES, NAMES), st.just("inc"), AMOUNTS)))
def test_counts_are_shown_as_counters(steps):
    same(
        lambda registry: library.Counter("c", "Help.", LABELS, registry=registry),
        lambda registry: Counts("c", "Help.", LABELS, registry=registry),
        steps,
    )


@given(
    st.lists(
        st.tuples(st.tuples(NAMES, NAMES), st.sampled_from(("inc", "dec", "set")), st.floats())
    )
)
def test_levels_are_shown_as_gauges(steps):
    same(
        lambda registry: library.Gauge("g", "Help.", LABELS, registry=registry),
        lambda registry: Levels("g", "Help.", LABELS, registry=registry),
        steps,
    )


@given(st.lists(st.tuples(st.tuples(NAMES, NAMES), st.just("observe"), OBSERVED)))
def test_spreads_are_shown_as_histograms(steps):
    same(
        lambda registry: library.Histogram(
            "h", "Help.", LABELS, buckets=BUCKETS, registry=registry
        ),
        lambda registry: Spreads("h", "Help.", LABELS, buckets=BUCKETS, registry=registry),
        steps,
    )


@pytest.mark.parametrize(
    ("theirs", "ours", "more"),
    [
        (library.Counter, Counts, {}),
        (library.Gauge, Levels, {}),
        (library.Histogram, Spreads, {"buckets": BUCKETS}),
    ],
)
@pytest.mark.parametrize("labels", [(), LABELS])
def test_before_anything_is_counted_only_families_without_labels_have_series(
    theirs, ours, more, labels
):
    same(
        lambda registry: theirs("x", "Help.", labels, registry=registry, **more),
        lambda registry: ours("x", "Help.", labels, registry=registry, **more),
        (),
    )


def test_a_bound_belongs_to_its_own_bucket():
    spread = Spread((1.0, 2.0))
    for amount in (-5, 0, 1, 1.5, 2, 2.5, math.inf):
        spread.observe(amount)
    assert spread.counts == [3, 2, 2]


def test_what_is_no_number_is_in_no_bucket():
    spread = Spread((1.0,))
    spread.observe(math.nan)
    assert spread.counts == [0, 0]
    assert math.isnan(spread.total)


def test_counts_from_outside_are_folded_in():
    spread = Spread((1.0, 2.0))
    spread.observe(1.5)
    spread.add([1, 2, 3], 10.0)
    assert (spread.counts, spread.total) == ([1, 3, 3], 11.5)


@pytest.mark.parametrize("counts", [(), (1, 2), (1, 2, 3, 4)])
def test_counts_of_other_buckets_change_nothing(counts):
    spread = Spread((1.0, 2.0))
    with pytest.raises(ValueError, match=f"{len(counts)} buckets do not fit into 3"):
        spread.add(counts, 10.0)
    assert (spread.counts, spread.total) == ([0, 0, 0], 0)


def test_a_hot_loop_may_count_in_the_attribute():
    registry = CollectorRegistry()
    count = Counts("c", "", registry=registry).labels()
    count.value += 3
    assert registry.get_sample_value("c_total") == 3.0


def test_equal_labels_are_one_series():
    family = Counts("c", "", LABELS, registry=CollectorRegistry())
    assert family.labels("a", "b") is family.labels("a", "b")
    assert family.labels("a", "b") is not family.labels("b", "a")


def test_a_series_may_be_bound_while_the_page_is_made():
    registry = CollectorRegistry()
    family = Levels("g", "", ("service",), registry=registry)

    class Late:
        def __float__(self):
            family.labels("late").set(2)
            return 1.0

    family.labels("early").set(Late())
    assert registry.get_sample_value("g", {"service": "early"}) == 1
    assert registry.get_sample_value("g", {"service": "late"}) == 2


@pytest.mark.parametrize("values", [(), ("a",), ("a", "b", "c")])
def test_a_wrong_number_of_labels_is_refused(values):
    registry = CollectorRegistry()
    family = Counts("c", "", LABELS, registry=registry)
    with pytest.raises(ValueError, match="c has labels"):
        family.labels(*values)
    assert [sample for metric in registry.collect() for sample in metric.samples] == []


@pytest.mark.parametrize("name", ["x", "x_total", "x_bucket"])
def test_a_name_is_taken_once(name):
    registry = CollectorRegistry()
    taken = Spreads if name == "x_bucket" else Counts
    more = {"buckets": BUCKETS} if taken is Spreads else {}
    taken("x", "", registry=registry, **more)
    with pytest.raises(ValueError, match="Duplicated"):
        Levels(name, "", registry=registry)


@pytest.mark.parametrize(
    "buckets", [(), (0, 1), (-1, 1), (2, 1), (1, 1), (1, math.inf), (math.nan, 1), (1, math.nan)]
)
def test_buckets_must_ascend_from_above_zero(buckets):
    with pytest.raises(ValueError, match="buckets do not ascend"):
        Spreads("x", "", buckets=buckets, registry=CollectorRegistry())


def _told(registry, *, afresh=False):
    """The samples of the families here that are news."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for metric in registry.news(afresh=afresh)
        for sample in metric.samples
        if sample.name.startswith("quiet")
    }


def test_news_are_what_changed_and_nothing_of_what_was_never_counted():
    registry = Registry()
    counts = Counts("quiet_c", "h", ("s",), registry=registry, is_quiet=True)
    levels = Levels("quiet_l", "h", ("s",), registry=registry, is_quiet=True)
    spreads = Spreads("quiet_s", "h", ("s",), buckets=(1.0,), registry=registry, is_quiet=True)
    for name in ("a", "b"):
        counts.labels(name), levels.labels(name), spreads.labels(name)
    assert _told(registry, afresh=True) == {}
    counts.labels("a").inc()
    levels.labels("a").inc()
    assert _told(registry) == {("quiet_c_total", "a"): 1, ("quiet_l", "a"): 1}
    assert _told(registry) == {}
    levels.labels("a").dec()
    spreads.labels("b").observe(0.0)
    assert _told(registry) == {
        ("quiet_l", "a"): 0,
        ("quiet_s_bucket", "b", "1.0"): 1,
        ("quiet_s_bucket", "b", "+Inf"): 1,
        ("quiet_s_count", "b"): 1,
        ("quiet_s_sum", "b"): 0,
    }


def test_afresh_is_all_that_was_ever_counted_in():
    registry = Registry()
    counts = Counts("quiet_c", "h", ("s",), registry=registry, is_quiet=True)
    counts.labels("a").inc(2)
    counts.labels("b")
    loud = Counts("quiet_too", "h", ("s",), registry=registry)
    loud.labels("b")
    everything = {("quiet_c_total", "a"): 2, ("quiet_too_total", "b"): 0}
    for _ in range(2):
        assert _told(registry, afresh=True) == everything
    assert _told(registry) == {}
