"""What the engine does with a name by itself is what Python would do with the same name and chance."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.lookup import NameTable
from cluster.names import ServiceName
from cluster.routes import Endpoint
from worker.telemetry.metrics import Metrics
from worker.view.leads import KeptDirectories, leads
from worker.view.view import MeshTarget
from worker.view.ways import Ways

native = pytest.importorskip("worker.relay.native")

PORTER = native.NativeEngine().porter
METERS = Metrics().service("mgw", "mesh", "web")

LABELS = st.text("abcXYZ019-_", min_size=1, max_size=4)
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
PATTERNS = st.one_of(NAMES, NAMES.map(lambda name: f"*.{name}"))
ENDPOINTS = st.lists(
    st.builds(
        Endpoint,
        address=st.sampled_from(("10.0.0.1", "::1", "db.example", "10.0.0.2", "fe80::1%eth0")),
        port=st.integers(1, 65535),
        healthy=st.booleans(),
        weight=st.integers(0, 5),
    ),
    max_size=6,
)
TABLES = st.dictionaries(PATTERNS, ENDPOINTS, max_size=20)
CHANCES = st.floats(0, 1, exclude_max=True)


class Chance(random.Random):
    """Always the same."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def random(self):
        return self.value


def target(endpoints):
    return MeshTarget(
        service=ServiceName(name="web"),
        endpoints=tuple(endpoints),
        ways=Ways(endpoints),
        connect_timeout_seconds=5.0,
        meters=METERS,
    )


def by_python(table, name, chance):
    """Where `mesh.serve_at_once` goes; None where it declines."""
    found = table.find(name)
    return found and found.ways.first(Chance(chance))


def by_engine(table, name, chance):
    known = tuple(leads(table).values())
    found = PORTER.draw_up(known).find(name.encode(), chance)
    if found is None:
        return None
    lead, drawn = known[found[0]], found[1]
    return lead.target.ways.shares[drawn].endpoint, lead.endpoints[drawn][1]


@given(TABLES, NAMES, CHANCES)
@settings(max_examples=100, deadline=None)
def test_both_go_the_same_way(entries, other, chance):
    table = NameTable((name, target(endpoints)) for name, endpoints in entries.items())
    exact = {name for name, _ in table.exact()}
    for name in {other.lower(), *exact}:
        found = by_engine(table, name, chance)
        if name in exact:
            assert found == by_python(table, name, chance)
        else:
            assert found is None  # a wildcard's, or nobody's: Python's in either case


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=50), CHANCES)
@settings(max_examples=100, deadline=None)
def test_both_draw_the_same_endpoint_of_many(weights, chance):
    endpoints = [
        Endpoint(address="10.0.0.1", port=1000 + at, weight=weight)
        for at, weight in enumerate(weights)
    ]
    table = NameTable([("web", target(endpoints))])
    assert by_engine(table, "web", chance) == by_python(table, "web", chance)


def test_ten_thousand_names_are_all_found_and_no_other():
    table = NameTable(
        (f"web-{at}.example", target([Endpoint(address="10.0.0.1", port=1 + at)]))
        for at in range(10_000)
    )
    directory = PORTER.draw_up(tuple(leads(table).values()))
    found = [directory.find(f"web-{at}.example".encode(), 0.5) for at in range(10_001)]
    assert found == [*((at, 0) for at in range(10_000)), None]


def test_names_that_no_hello_has_are_left_out():
    table = NameTable([("ü.example", target([])), ("a" * 300, target([])), ("web", target([]))])
    assert list(leads(table)) == ["web"]


def test_a_directory_is_kept_for_as_long_as_it_leads_to_the_same():
    kept = KeptDirectories(PORTER.draw_up)
    ways = Ways([Endpoint(address="10.0.0.1", port=1)])

    def table(**options):
        made = {"ways": ways, "connect_timeout_seconds": 5.0, **options}
        return NameTable(
            (name, MeshTarget(service=ServiceName(name=name), endpoints=(), meters=METERS, **made))
            for name in ("api", "web")
        )

    first = kept.of("mgw", table())
    assert kept.of("mgw", table()) is first
    assert kept.of("other", table()) is not first
    slower = kept.of("mgw", table(connect_timeout_seconds=6.0))
    assert slower is not first
    assert kept.of("mgw", table(ways=Ways([Endpoint(address="10.0.0.1", port=1)]))) is not slower
    fewer = kept.of("mgw", NameTable(()))
    assert fewer.find(b"web", 0.0) is None
    assert KeptDirectories().of("mgw", table()) is None
