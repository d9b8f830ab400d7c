"""The whole page of a worker, as `prometheus_client`'s own counters and histograms showed it.

`page.txt` was written by the library alone, before tallies took their place; dashboards read these bytes.
"""

from pathlib import Path

from cluster.names import ServiceName
from cluster.reasons import End, HelloReject, RevocationCause
from worker.node.metrics import render
from worker.telemetry.metrics import Metrics, RetryEnd, families
from worker.view.view import View


def count_something_of_everything(metrics):
    for gateway, kind, service in (("edge", "mesh", "api"), ("egress", "terminating", 'a "b"')):
        count_connections(metrics.service(gateway, kind, service))
    http = metrics.http("egress", "api")
    http.requests(200).inc(3)
    http.requests(503).inc()
    http.requests(999).inc()
    http.retries(RetryEnd.MADE).inc()
    metrics.ejections.labels("front", "api").inc()
    for seconds in (0.0, 0.0005, 11):
        http.seconds.observe(seconds)
    setup = (
        metrics.hello_seconds,
        metrics.handshake_seconds,
        metrics.authorize_seconds,
        metrics.dial_seconds,
        metrics.total_seconds,
        metrics.upstream_connect_seconds,
    )
    for spread in setup:
        for seconds in (0.0, 0.0005, 0.00050001, 0.3, 10, 11):
            spread.observe(seconds)
    for length in (255, 256, 257, 1500, 40000):
        metrics.hello_bytes.observe(length)
    metrics.hello_rejected[HelloReject.NO_SNI].inc()
    metrics.revoked[RevocationCause.EXPIRY].inc()
    decide(metrics, "web", True)
    decide(metrics, "web", True)
    decide(metrics, "stranger", False)
    metrics.snapshot_generation.labels("0").set(7)
    metrics.apply_seconds.observe(0.02)
    metrics.loop_lag_seconds.labels("0").set(0.25)
    metrics.engine_info.labels("0", "pure").set(1)


def count_connections(meters):
    meters.opened.inc()
    meters.opened.inc()
    meters.active.inc()
    meters.active.inc()
    meters.active.dec()
    meters.bytes_up.inc(1234)
    meters.bytes_down.inc(2**40)
    meters.closed(End.FINISHED).inc()
    meters.closed(End.DENIED).inc(2)
    for seconds in (0.0, 0.01, 0.010000001, 60, 1e6):
        meters.duration.observe(seconds)


def decide(metrics, source, allowed):
    view = View(known_sources=frozenset({"web"}))
    billing, caller = ServiceName(name="billing"), ServiceName(name=source)
    metrics.decisions.counter(view, "egress", billing, caller, allowed).inc()


def test_the_page_is_byte_for_byte_what_it_was():
    metrics = Metrics()
    count_something_of_everything(metrics)
    expected = Path(__file__).with_name("page.txt").read_bytes()
    assert render((), families(metrics.registry)).decode() == expected.decode()
