"""Each probe every interval, a bounded number at once, the first after a random part of the interval.

Belongs here: the clock of probes. Never here: asking, or lines.
"""

import random
from collections.abc import Awaitable, Callable, Iterable

import trio

from cluster.probes import Probe, Verdict

MOST_AT_ONCE = 64
#: Nobody waits longer for the first verdict, however long the interval.
MOST_FIRST_SECONDS = 10.0


class Rounds:
    """What is probed. `ask` gives a verdict, `tell` takes it and may make us wait."""

    def __init__(
        self,
        ask: Callable[[Probe], Awaitable[Verdict]],
        tell: Callable[[Verdict], Awaitable[None]],
        chance: random.Random,
        *,
        at_once: int = MOST_AT_ONCE,
    ) -> None:
        self._ask = ask
        self._tell = tell
        self._chance = chance
        self._room = trio.CapacityLimiter(at_once)
        self._going: dict[Probe, trio.CancelScope] = {}

    def replace(self, probes: Iterable[Probe], nursery: trio.Nursery) -> None:
        """Probe these from now on. Those that stay as they are keep their time."""
        wanted = dict.fromkeys(probes)
        for probe in self._going.keys() - wanted.keys():
            self._going.pop(probe).cancel()
        for probe in wanted:
            if probe not in self._going:
                self._going[probe] = trio.CancelScope()
                nursery.start_soon(self._go_round, probe, self._going[probe])

    async def _go_round(self, probe: Probe, scope: trio.CancelScope) -> None:
        with scope:
            await trio.sleep(
                self._chance.uniform(0, min(probe.interval_seconds, MOST_FIRST_SECONDS))
            )
            while True:
                due = trio.current_time() + probe.interval_seconds
                async with self._room:
                    verdict = await self._ask(probe)
                await self._tell(verdict)
                await trio.sleep_until(due)
