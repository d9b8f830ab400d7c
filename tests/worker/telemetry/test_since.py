from worker.telemetry.metrics import SETUP_BUCKETS, Metrics
from worker.telemetry.since import Since


def test_only_what_is_new_is_told():
    since = Since()
    assert since.since(([1, 2], 0.5)) == ([1, 2], 0.5)
    assert since.since(([1, 5], 1.5)) == ([0, 3], 1.0)
    assert since.since(([1, 5], 1.5)) == ([0, 0], 0.0)


def test_what_the_engine_measured_is_counted_once():
    metrics = Metrics()
    dials = [3] + [0] * len(SETUP_BUCKETS), 0.0003
    setups = [0, 3] + [0] * (len(SETUP_BUCKETS) - 1), 0.003
    for _ in range(2):
        metrics.count_launched(dials, setups)
    assert (metrics.dial_seconds.counts[0], metrics.total_seconds.counts[1]) == (3, 3)
    assert metrics.upstream_connect_seconds.total == 0.0003
