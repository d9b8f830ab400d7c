"""The metrics page as Prometheus reads it."""

from prometheus_client.parser import text_string_to_metric_families

from cluster.certs import Leaf
from cluster.messages import Family, Sample
from worker.node.metrics import Reading, own_families, render, service_of


def leaf(uri):
    return Leaf(uri=uri, chain_pem=b"", key_pem=b"", not_before=0, not_after=1234.5)


READING = Reading(
    version="1.2",
    engine="native",
    workers_up={0: True, 1: False},
    restarts={0: 0, 1: 3},
    generation=7,
    snapshot_age_seconds=2.5,
    nacks=1,
    leaves=(leaf("spiffe://t/ns/default/dc/dc1/svc/db"),),
    unbound_listeners=1,
    missing_leaves=2,
    write_failures=0,
    coordinator_up=True,
)


def read(page):
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def test_the_names_that_dashboards_rely_on():
    values = read(render(own_families(READING), ()))
    assert values[("lockgate_worker_up", ("worker", "1"))] == 0
    assert values[("lockgate_worker_restarts_total", ("worker", "1"))] == 3
    assert values[("lockgate_snapshot_generation",)] == 7
    assert values[("lockgate_snapshot_age_seconds",)] == 2.5
    assert values[("lockgate_snapshot_nacks_total",)] == 1
    name = "lockgate_certificate_not_after_timestamp_seconds"
    assert values[(name, ("service", "db"))] == 1234.5
    build = ("lockgate_build_info", ("engine", "native"), ("version", "1.2"))
    assert values[build] == 1


def test_workers_families_of_every_kind_and_none_twice():
    buckets = tuple(
        Sample("h_bucket", {"le": le}, value) for le, value in (("1.0", 2.0), ("+Inf", 3.0))
    )
    histogram = Family(
        name="h",
        kind="histogram",
        help="x",
        samples=(*buckets, Sample("h_count", {}, 3.0), Sample("h_sum", {}, 9.0)),
    )
    counter = Family(name="c", kind="counter", help="x", samples=(Sample("c_total", {}, 5.0),))
    own = Family(
        name="lockgate_snapshot_generation",
        kind="gauge",
        help="",
        samples=(Sample("lockgate_snapshot_generation", {}, 99.0),),
    )
    values = read(render(own_families(READING), (histogram, counter, own)))
    assert values[("h_bucket", ("le", "+Inf"))] == 3
    assert values[("c_total",)] == 5
    assert values[("lockgate_snapshot_generation",)] == 7


def test_a_leaf_of_no_service_is_known_by_its_uri():
    uri = "spiffe://t/gateway/mesh/dc/dc1"
    assert service_of(leaf(uri)) == uri
    assert service_of(leaf("rubbish")) == "rubbish"
