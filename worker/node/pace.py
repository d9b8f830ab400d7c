"""How many different snapshots a node takes in a while, and what it says of more.  ●

Belongs here: the counting and the reason. Never here: sending a Nack (`worker.node.link`), or a snapshot's
content.

A coordinator joins what changes within 50 ms, so a sane one offers 20 different snapshots a second at most.
One that offers far more has gone mad, and each of its snapshots would move sockets and routes of all workers:
the node keeps what it serves until the offers come slower again. What changes the intentions or the roots is
neither counted nor refused: it may withdraw a permission, and it does not wait to be joined either.
"""

from collections import deque
from collections.abc import Mapping

from cluster.errors import Problem
from cluster.messages import Offer
from cluster.sections import same_policy
from cluster.snapshot import SnapshotId

WINDOW_SECONDS = 10.0
MAX_CHANGES_PER_SECOND = 40


class Pace:
    """Counts offers. `held` says why the last one was refused, as long as none was taken after it."""

    def __init__(
        self, most_per_second: int = MAX_CHANGES_PER_SECOND, window_seconds: float = WINDOW_SECONDS
    ) -> None:
        self.held: Problem | None = None
        self.refusals = 0
        self._most_per_second = most_per_second
        self._most = int(most_per_second * window_seconds)
        self._window_seconds = window_seconds
        self._offered: deque[float] = deque()

    def check(self, now: float, kept: SnapshotId | None) -> Problem | None:
        """Count an offer that comes at `now`; why it is too much, or None. `kept` is what is served."""
        self._offered.append(now)
        while self._offered[0] <= now - self._window_seconds or len(self._offered) > 2 * self._most:
            self._offered.popleft()
        found = len(self._offered)
        self.held = self._problem(found, kept) if found > self._most else None
        self.refusals += self.held is not None
        return self.held

    def settled(self) -> None:
        """What is offered is served."""
        self.held = None

    def _problem(self, found: int, kept: SnapshotId | None) -> Problem:
        or_more = " or more" if found >= 2 * self._most else ""
        return Problem(
            path="max_changes_per_second",
            message=f"{found}{or_more} different snapshots came within {self._window_seconds:.0f} s, "
            f"and {self._most_per_second} a second are the limit: snapshot {kept} is kept until "
            "fewer come; changes of intentions are taken",
        )


def is_limited(offer: Offer, served: Mapping[str, str] | None) -> bool:
    """Whether an offer may be refused for coming too fast: none that changes who may talk to whom.

    `served` is the manifest of what the node brings its workers to; without one any offer is welcome, and so
    is the same content by another number.
    """
    if served is None or offer.manifest == served:
        return False
    same_roots = offer.manifest.get("trust") == served.get("trust")
    return same_roots and same_policy(offer.manifest, served)
