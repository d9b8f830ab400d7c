"""When a soak has passed."""

from tests.bench.trend import growth, is_flat, settled
from tests.bench.verdict import Watched, judge

STATUS = {
    "nodes": [
        {
            "state": "current",
            "engine": "native",
            "workers": [{"pid": 9, "restarts": 0, "connections": 0}],
        }
    ]
}
SAID = {"operations": 5, "bytes": 0, "failures": {}}


def line(start, per_second, seconds=100):
    return [(float(t), start + per_second * t) for t in range(0, seconds + 1, 5)]


def watched(**changes):
    given = {
        "name": "worker 9",
        "memory": tuple(line(50e6, 0)),
        "descriptors_before": 20,
        "descriptors_most": 900,
        "descriptors_after": 20,
    }
    return Watched(**given | changes)


def bad(one=None, said=None, status=None, pids=(9,)):
    checks = judge([one or watched()], {"echo": said or SAID}, status or STATUS, pids)
    return [check.what for check in checks if not check.good]


def test_growth_is_that_of_the_line_of_least_squares():
    assert round(growth(line(50e6, 1000))) == 100_000
    assert round(growth([(0, 10.0), (1, 30.0), (2, 10.0)])) == 0
    assert growth([(0, 1.0)]) == growth([]) == 0.0


def test_the_first_fifth_is_for_warming_up():
    assert settled(line(0, 1))[0][0] == 20
    climb_then_flat = [(t, 50e6 + min(t, 20) * 1e6) for t, _ in line(0, 0)]
    assert is_flat(settled(climb_then_flat))
    assert not is_flat(climb_then_flat)


def test_three_percent_or_a_megabyte_is_flat():
    assert is_flat(line(100e6, 29_000))
    assert not is_flat(line(100e6, 32_000))
    assert is_flat(line(10e6, 9_900))
    assert is_flat(line(50e6, -100_000))


def test_all_is_well():
    assert bad() == []


def test_what_fails_a_soak():
    assert bad(watched(memory=tuple(line(50e6, 50_000)))) == ["memory of worker 9 is flat"]
    assert bad(watched(descriptors_after=21)) == ["descriptors of worker 9 are back"]
    assert bad(said=SAID | {"failures": {"reset": 1}}) == ["no connection of echo failed"]
    assert bad(said=SAID | {"operations": 0}) == ["no connection of echo failed"]
    assert bad(pids=(8,)) == ["no worker was restarted"]


def test_a_status_that_is_not_sane_fails_a_soak():
    (node,) = STATUS["nodes"]
    assert bad(status={"nodes": [node | {"state": "behind"}]}) == ["status is sane"]
    left = node["workers"][0] | {"connections": 1}
    assert bad(status={"nodes": [node | {"workers": [left]}]}) == ["status is sane"]
