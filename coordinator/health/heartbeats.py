"""What TTL checks were told lately, and by when each must be told again. Pure: `now` is handed in.

Belongs here: whether a report must be written at once, and which checks have waited in vain. Never here:
writing. Times are seconds of a clock that only goes forward.

A check that says every second that it is well would be a write every second. So only a change of status is
written at once; a change of the output alone waits, as in Consul, and is shown to who asks the agent.
After a restart every check gets its whole TTL again: while we were away nobody could report.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from coordinator.store.records import Record

from .lengths import seconds

EXPIRED = "TTL expired"


class _Wait(NamedTuple):
    ttl_seconds: float
    until: float


def ttl_seconds(check: Record) -> float:
    """How long a report holds; 0 for a check that waits for none."""
    if check.value.get("Type") != "ttl":
        return 0.0
    text = check.value.get("Definition", {}).get("TTL", "")
    return seconds(text) if text else 0.0


class Heartbeats:
    """By key of the check: until when its last report holds, and the output that is not written yet."""

    def __init__(self) -> None:
        self._waits: dict[str, _Wait] = {}
        self._outputs: dict[str, str] = {}
        self._in_flight: dict[str, int] = {}

    def told(self, check: Record, status: str, output: str, now: float) -> bool:
        """Take a report. True: it must be written now.

        That is so for another status than the present one, and while a write of this check is under
        way, of which nobody knows yet whether it comes to be the present.
        """
        ttl = ttl_seconds(check)
        if ttl:
            self._waits[check.key] = _Wait(ttl, now + ttl)
        self._outputs.pop(check.key, None)
        if check.key in self._in_flight or status != check.value["Status"]:
            return True
        if output != check.value.get("Output", ""):
            self._outputs[check.key] = output
        return False

    @contextmanager
    def writing(self, keys: Iterable[str]) -> Iterator[None]:
        """While it lasts, reports on these checks are written, in the order in which they come."""
        keys = tuple(keys)
        for key in keys:
            self._in_flight[key] = self._in_flight.get(key, 0) + 1
        try:
            yield
        finally:
            for key in keys:
                self._in_flight[key] -= 1
                if not self._in_flight[key]:
                    del self._in_flight[key]

    def output(self, check: Record) -> str:
        """The newest output, written or not."""
        return self._outputs.get(check.key, str(check.value.get("Output", "")))

    def take_outputs(self) -> dict[str, str]:
        """All outputs that are not written yet; they count as written from here on."""
        outputs, self._outputs = self._outputs, {}
        return outputs

    def overdue(self, checks: Iterable[Record], now: float) -> tuple[list[Record], float]:
        """Which of these, all that there are, have waited in vain; and when to look again.

        One that is seen for the first time, or with another TTL, begins to wait.
        """
        waits: dict[str, _Wait] = {}
        late: list[Record] = []
        for check in checks:
            ttl = ttl_seconds(check)
            if not ttl or check.value["Status"] == "critical":
                continue
            wait = self._waits.get(check.key)
            if wait is None or wait.ttl_seconds != ttl:
                wait = _Wait(ttl, now + ttl)
            waits[check.key] = wait
            if wait.until <= now:
                late.append(check)
        self._waits = waits
        return late, min((wait.until for wait in waits.values()), default=float("inf"))
