"""When probes are done: spread at first, then each interval, and never too many at once."""

import random
from itertools import pairwise

import pytest
import trio

from cluster.catalog import Health
from cluster.probes import Probe, ProbeKind, Verdict
from worker.prober.rounds import Rounds


def probe(name, interval=10.0, target="h:1"):
    return Probe(
        check=name, kind=ProbeKind.TCP, target=target, interval_seconds=interval, timeout_seconds=1
    )


class Asked:
    """Probes at the times when they were done; each takes `takes` seconds."""

    def __init__(self, takes=0.0, **options):
        self.times, self.now, self.most, self.takes = {}, 0, 0, takes
        self.rounds = Rounds(self._ask, self._tell, random.Random(1), **options)

    async def _ask(self, probe):
        self.times.setdefault(probe.check, []).append(trio.current_time())
        self.now += 1
        self.most = max(self.most, self.now)
        await trio.sleep(self.takes)
        self.now -= 1
        return Verdict(check=probe.check, status=Health.PASSING)

    async def _tell(self, verdict):
        await trio.lowlevel.checkpoint()


async def test_the_first_is_spread_over_the_interval_and_then_each_interval(
    nursery, autojump_clock
):
    asked = Asked(takes=0.5)
    asked.rounds.replace([probe(f"c{at}") for at in range(50)], nursery)
    began = trio.current_time()
    await trio.sleep(10.001)
    firsts = sorted(times[0] - began for times in asked.times.values())
    assert len(firsts) == 50
    assert firsts[0] < 1
    assert firsts[-1] > 9
    await trio.sleep(30)
    times = asked.times["c0"]
    gaps = [later - sooner for sooner, later in pairwise(times)]
    assert gaps == [pytest.approx(10.0)] * 3


async def test_nobody_waits_long_for_the_first_one(nursery, autojump_clock):
    asked = Asked()
    asked.rounds.replace([probe(f"c{at}", interval=86_400) for at in range(20)], nursery)
    await trio.sleep(10.001)
    assert len(asked.times) == 20


async def test_only_so_many_at_once(nursery, autojump_clock):
    asked = Asked(takes=3.0, at_once=4)
    asked.rounds.replace([probe(f"c{at}", interval=1) for at in range(30)], nursery)
    await trio.sleep(60)
    assert asked.most == 4
    assert len(asked.times) == 30


async def test_what_stays_keeps_its_time_and_what_goes_is_done_no_more(nursery, autojump_clock):
    asked = Asked()
    asked.rounds.replace([probe("stays"), probe("goes"), probe("changes")], nursery)
    await trio.sleep(15)
    before = {name: list(times) for name, times in asked.times.items()}
    asked.rounds.replace([probe("stays"), probe("changes", target="h:2"), probe("comes")], nursery)
    await trio.sleep(21)
    assert asked.times["goes"] == before["goes"]
    assert asked.times["stays"][len(before["stays"])] - before["stays"][-1] == pytest.approx(10)
    assert len(asked.times["comes"]) >= 2
    nursery.cancel_scope.cancel()
