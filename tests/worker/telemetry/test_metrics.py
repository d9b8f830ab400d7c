import pytest

from cluster.reasons import End, HelloReject, RevocationCause
from worker.telemetry.metrics import Metrics, families


@pytest.fixture
def metrics():
    return Metrics()


def names(metrics):
    return {family.name: family.kind for family in families(metrics.registry)}


def test_what_dashboards_rely_on_is_there(metrics):
    relied_on = {
        "lockgate_connections_opened": "counter",
        "lockgate_connections_active": "gauge",
        "lockgate_connections_closed": "counter",
        "lockgate_connection_bytes": "counter",
        "lockgate_connection_duration_seconds": "histogram",
        "lockgate_setup_duration_seconds": "histogram",
        "lockgate_client_hello_bytes": "histogram",
        "lockgate_client_hello_rejected": "counter",
        "lockgate_authorization_decisions": "counter",
        "lockgate_connections_revoked": "counter",
        "lockgate_upstream_connect_seconds": "histogram",
        "lockgate_snapshot_apply_seconds": "histogram",
        "lockgate_event_loop_lag_seconds": "gauge",
        "lockgate_relay_engine_info": "gauge",
    }
    found = names(metrics)
    assert {name: found.get(name) for name in relied_on} == relied_on


def test_closed_enumerations_are_bound_from_the_start(metrics):
    samples = {
        (sample.name, value)
        for family in families(metrics.registry)
        for sample in family.samples
        for value in sample.labels.values()
    }
    for reject in HelloReject:
        assert ("lockgate_client_hello_rejected_total", reject.value) in samples
    for cause in RevocationCause:
        assert ("lockgate_connections_revoked_total", cause.value) in samples
    for phase in ("hello", "handshake", "authorize", "dial", "total"):
        assert ("lockgate_setup_duration_seconds_count", phase) in samples


def test_the_handles_of_a_service_are_the_same_for_every_snapshot(metrics):
    first = metrics.service("egress", "terminating", "billing")
    assert metrics.service("egress", "terminating", "billing") is first
    assert metrics.service("egress", "terminating", "orders") is not first
    assert first.closed(End.DENIED) is first.closed(End.DENIED)


def test_endings_that_never_happened_are_no_series(metrics):
    metrics.service("egress", "terminating", "billing").closed(End.DENIED).inc()
    (closed,) = (
        family
        for family in families(metrics.registry)
        if family.name == "lockgate_connections_closed"
    )
    assert [(sample.labels["end"], sample.value) for sample in closed.samples] == [("denied", 1.0)]


def test_what_travels_is_values_without_creation_times(metrics):
    metrics.service("egress", "mesh", "api").opened.inc(3)
    samples = [sample for family in families(metrics.registry) for sample in family.samples]
    assert not [sample for sample in samples if sample.name.endswith("_created")]
    labels = {"gateway": "egress", "kind": "mesh", "service": "api"}
    assert [s.value for s in samples if s.name == "lockgate_connections_opened_total"] == [3.0]
    assert [s.labels for s in samples if s.name == "lockgate_connections_opened_total"] == [labels]
