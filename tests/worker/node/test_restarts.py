"""The restart policy as a table, and its growth without an overflow."""

import pytest

from worker.node.restarts import Cause, Policy, after_exit

LONG = Policy().calm_seconds


@pytest.mark.parametrize(
    ("code", "alive", "failures", "cause", "wait", "then", "loud"),
    [
        (0, 5, 0, Cause.STOPPED, 0.0, 0, False),
        (0, 5, 3, Cause.STOPPED, 0.0, 3, False),
        (0, 0.01, 0, Cause.STOPPED, 0.1, 1, False),  # else it would spin
        (1, 5, 0, Cause.CRASHED, 0.1, 1, False),
        (1, 5, 1, Cause.CRASHED, 0.2, 2, False),
        (-9, 5, 4, Cause.KILLED, 1.6, 5, False),
        (-11, 5, 4, Cause.CRASHED, 1.6, 5, False),
        (None, 5, 5, Cause.CRASHED, 3.2, 6, True),
        (1, 5, 7, Cause.CRASHED, 10.0, 8, True),
        (1, LONG, 7, Cause.CRASHED, 0.1, 1, False),
        (78, 0.1, 0, Cause.COULD_NOT_BOOT, 60.0, 1, True),
        (78, LONG, 9, Cause.COULD_NOT_BOOT, 60.0, 1, True),
    ],
)
def test_what_follows_an_end(code, alive, failures, cause, wait, then, loud):
    restart = after_exit(code, alive_seconds=alive, failures=failures)
    assert restart.cause is cause
    assert restart.wait_seconds == pytest.approx(wait)
    assert (restart.failures, restart.loud) == (then, loud)


def test_ten_thousand_crashes_wait_no_longer():
    assert after_exit(1, alive_seconds=0, failures=10_000).wait_seconds == 10.0
