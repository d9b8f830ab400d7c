"""Services whose check has been critical for longer than they want to be kept. Pure: `now` is handed in.

Belongs here: who must go. Never here: the going. Times are seconds of a clock that only goes forward, and
the time is counted anew after a restart.
Source: Consul, "Health checks", `deregister_critical_service_after`: a minute at least.
"""

from collections.abc import Iterable

from coordinator.store.records import Record

from .lengths import seconds

MIN_SECONDS = 60.0


class Reaper:
    """Since when each check that counts has been critical, by its key."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def due(self, checks: Iterable[Record], now: float) -> tuple[list[tuple[str, str]], float]:
        """Node and id of the services that must go, given all checks that may tell; when to look again."""
        since: dict[str, float] = {}
        gone: list[tuple[str, str]] = []
        again = float("inf")
        for record in checks:
            patience = _patience(record)
            if not patience:
                continue
            first = since[record.key] = self._since.get(record.key, now)
            if now >= first + patience:
                gone.append((record.key.partition("/")[0], record.value["ServiceID"]))
            else:
                again = min(again, first + patience)
        self._since = since
        return gone, again


def _patience(check: Record) -> float:
    """For how many seconds the check may be critical; 0: it is not, or for ever."""
    value = check.value
    if value["Status"] != "critical" or not value.get("ServiceID"):
        return 0.0
    text = value.get("Definition", {}).get("DeregisterCriticalServiceAfter", "")
    if not isinstance(text, str) or not text:
        return 0.0
    try:
        return max(seconds(text), MIN_SECONDS)
    except ValueError:
        return 0.0  # a registration's definition is kept as it was written
