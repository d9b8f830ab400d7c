"""The sweeper is there at the moment at which something ends."""

from types import SimpleNamespace

import pytest
import trio

from worker.sweeper import SWEEP_SECONDS, _sleep


@pytest.mark.parametrize(("ends_in", "sleeps"), [(0.3, 0.3), (-1, 0), (3600, SWEEP_SECONDS)])
async def test_the_next_round_is_no_later_than_the_next_end(autojump_clock, ends_in, sleeps):
    view = SimpleNamespace(next_expiry=1000.0 + ends_in)
    began = trio.current_time()
    await _sleep(
        SimpleNamespace(
            current=SimpleNamespace(view=view),
            wall_clock=lambda: 1000.0 + trio.current_time() - began,
        )
    )
    assert trio.current_time() - began == pytest.approx(sleeps)
