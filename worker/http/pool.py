"""Connections to upstreams that may be used again: per endpoint and the TLS it was reached with.

The one that was used last is taken first, so that what is not needed grows old. Before it is used, it is
asked whether it is still quiet: an upstream may have hung up meanwhile. One that hangs up in that very moment
is met by the exchange, which may try again.

Belongs here: who is idle, since when, and how many there are. Never here: dialling, or choosing an endpoint.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Protocol

from cluster.routes import Endpoint
from worker.http.wire import Wire
from worker.net.leg import Leg


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """Bounds for each endpoint, in one worker. `connections` is Envoy's default of its circuit breaker."""

    connections: int = 1024
    idle_connections: int = 256
    idle_seconds: float = 60.0


#: An endpoint's place, and the TLS it is reached with (None is plain).
Key = tuple[str, int, Hashable]


class Watcher(Protocol):
    """Whoever has registered an upstream's descriptor, from one use to the next."""

    def let_go(self, upstream: "Upstream") -> None:
        """No more of this."""
        ...


class Upstream(Wire):
    """A connection to an endpoint."""

    __slots__ = (
        "endpoint",
        "idle_since",
        "is_used",
        "key",
        "left",
        "made_with",
        "watcher",
    )

    def __init__(self, leg: Leg, endpoint: Endpoint, key: Key, made_with: object = None) -> None:
        """`made_with` is the TLS context; one that has been replaced since is not used again."""
        super().__init__(leg)
        self.endpoint = endpoint
        self.key = key
        self.made_with = made_with
        self.is_used = False
        self.idle_since = 0.0
        #: What is left to send of a request that was sent without a task (`turns`); None if none was.
        self.left: bytes | None = None
        #: Who has registered it for calls (`express`); a task that takes it has it let go of.
        self.watcher: Watcher | None = None

    def is_quiet(self) -> bool:
        if self._channel is None:
            return super().is_quiet()
        return not self.unread and self._channel.is_quiet()


class Pools:
    """All upstream connections of one worker."""

    def __init__(self, clock: Callable[[], float], limits: PoolLimits | None = None) -> None:
        self._clock = clock
        self.limits = limits or PoolLimits()
        self._idle: dict[Key, list[Upstream]] = {}  # the last used one at the end
        self._counts: dict[Key, int] = {}

    @property
    def idle_seconds(self) -> float:
        """How long a connection may be idle."""
        return self.limits.idle_seconds

    def idle(self, key: Key) -> list[Upstream] | None:
        """Those that are idle, the last used one at the end: a plan takes from it and gives back to it
        (`_plan`). The same list for as long as there is any connection to this endpoint.
        """
        return self._idle.get(key)

    def take(self, key: Key, made_with: object = None) -> Upstream | None:
        """An idle connection that still seems to be good."""
        idle = self._idle.get(key)
        while idle:
            found = idle.pop()
            if found.made_with is made_with and found.is_quiet():
                return found
            self.drop(found)
        return None

    def may_dial(self, key: Key) -> bool:
        """Whether there may be one more connection to this endpoint; if so, it is counted from now on."""
        if self._counts.get(key, 0) >= self.limits.connections:
            return False
        self.count(key)
        return True

    def count(self, key: Key) -> None:
        """One more to this endpoint, however many there are."""
        self._counts[key] = self._counts.get(key, 0) + 1

    def count_of(self, key: Key) -> int:
        """How many connections there are to this endpoint, idle or not."""
        return self._counts.get(key, 0)

    def make_room(self, keys: Iterable[Key]) -> bool:
        """Close an idle connection to one of these endpoints, if there is any."""
        for key in keys:
            if idle := self._idle.get(key):
                self.drop(idle.pop(0))
                return True
        return False

    def give(self, upstream: Upstream) -> None:
        """It can be used again: the exchange is over, and nothing is left to read."""
        idle = self._idle.setdefault(upstream.key, [])
        if len(idle) >= self.limits.idle_connections:
            self.drop(upstream)
            return
        upstream.is_used = True
        upstream.idle_since = self._clock()
        idle.append(upstream)

    def drop(self, upstream: Upstream) -> None:
        """Close a connection that cannot be used again."""
        upstream.close()
        self.forget(upstream.key)

    def forget(self, key: Key) -> None:
        """A connection that was counted is not ours any more, or never came to be."""
        left = self._counts[key] - 1
        if left:
            self._counts[key] = left
        else:
            del self._counts[key]
            self._idle.pop(key, None)

    def sweep(self) -> None:
        """Close what was idle for too long, and what the upstream has ended; now and then."""
        oldest = self._clock() - self.limits.idle_seconds
        for idle in tuple(self._idle.values()):
            kept = [one for one in idle if one.idle_since > oldest and one.is_quiet()]
            gone = set(idle).difference(kept)
            idle[:] = kept
            for one in gone:
                self.drop(one)

    def close(self) -> None:
        """Close all that is idle."""
        for idle in tuple(self._idle.values()):
            while idle:
                self.drop(idle.pop())
        self._idle.clear()

    def __len__(self) -> int:
        """How many connections there are, idle or not."""
        return sum(self._counts.values())
