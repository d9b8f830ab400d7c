"""What an engine promises that answers the door by itself, and the values that go with it.

A porter accepts from listening sockets (gates). Whoever asks for a name that is in the gate's directory
goes where that leads, and is carried to its end, without a word to Python. Whoever is not common is a
stranger: its descriptor is handed over, nothing has been read from it, and Python serves it as if it had
accepted it.

Python asks who is here when it wants to know (`claim`): those it has claimed are its connections like any
other. Those that ended before are in the accounts, by the service that they went to, and nowhere else. So
the register is complete whenever somebody looks at it, and short connections cost it nothing.

Belongs here: the contract and its values. Never here: a socket, or what a directory is made from
(`worker.view`).
"""

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from cluster.reasons import End
from worker.relay.engine import Counters, Launch, RelayLimits, Times


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """One server name, lower-case, and where it leads.

    `endpoints` are (sum of the weights so far, `sockaddr`), None being one that takes looking up: whoever
    draws it is a stranger. `target` is the caller's, and so is `account`, which says whose account it is.
    """

    server_name: str
    endpoints: tuple[tuple[float, bytes | None], ...]
    dial_seconds: float
    target: Any
    account: Any


class Directory(Protocol):
    """Names and where they lead; made by `Porter.draw_up`, and never changes."""

    def find(self, name: bytes, chance: float) -> tuple[int, int] | None:
        """Which lead and which of its endpoints a connection takes; None if it is a stranger."""
        ...


class Born(Protocol):
    """A connection that a porter accepted and carries, or could not connect."""

    #: To be set by who adopts it: called once it is over.
    on_over: Callable[[Launch], object]

    @property
    def drawn(self) -> int:
        """Which endpoint of the lead's it went to."""
        ...

    @property
    def client(self) -> int:
        """The caller's descriptor, the engine's unless the dial has failed."""
        ...

    @property
    def generation(self) -> int:
        """As was said of the directory it was found in."""
        ...

    @property
    def age_seconds(self) -> float:
        """Since its accept, when it was claimed."""
        ...

    @property
    def counters(self) -> Counters:
        """As `worker.relay.engine.Flow.counters`."""
        ...

    def stop(self) -> None:
        """End it now; harmless at any time."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """A connection that was over before anybody claimed it; `age_seconds` and `ago_seconds` are up to now."""

    drawn: int
    generation: int
    age_seconds: float
    ago_seconds: float
    bytes_up: int
    bytes_down: int
    end: End


class Host(Protocol):
    """Who hears of connections. The lead is the one that each was found by."""

    def adopt(self, born: Born, lead: Lead) -> None:
        """Take one into the register, and set its `on_over`."""
        ...

    def remember(self, passed: Passed, lead: Lead) -> None:
        """One was here, and is counted."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Leading:
    """What a gate leads to: a directory, of which generation it is, and who hears of connections."""

    directory: Directory
    generation: int
    host: Host


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What happened, since one last asked, to connections that were never claimed.

    But `opened` is of all, and those of them that are claimed close at whoever adopted them.
    """

    opened: int
    closed: Mapping[End, int]
    bytes_up: int
    bytes_down: int
    lasted: Times


class Gate(Protocol):
    """A listening socket in the porter's care."""

    def serve(self, leading: Leading) -> None:
        """Lead elsewhere: once this returns, nobody is accepted for what was there before."""
        ...

    async def left(self) -> None:
        """Wait until accepting is left to Python: an error of accept(2), or more strangers than it takes."""
        ...

    def resume(self) -> bool:
        """Accept again, if it was left; nothing if it is closed. False: the kernel has no room for it now."""
        ...

    def close(self) -> None:
        """Once this returns, nobody is accepted here, and every stranger has been handed over."""
        ...


class Places(Protocol):
    """How many connections there are, on whichever thread."""

    def take(self, most: int = -1) -> bool:
        """One more, unless there are `most`; below 0 is no limit."""
        ...

    def give(self) -> None:
        """One less."""
        ...

    def __len__(self) -> int: ...


class Porter(Protocol):
    """See the module's docstring. All but `draw_up` is called on the trio thread."""

    @property
    def places(self) -> Places:
        """Where both sides count connections."""
        ...

    def draw_up(self, leads: Sequence[Lead]) -> Directory:
        """A directory, in any thread. Names are different ones. Raises ValueError."""
        ...

    def open(
        self,
        listening: socket.socket,
        leading: Leading,
        stranger: Callable[[int], object],
        *,
        limits: RelayLimits,
        most: int | None,
    ) -> Gate | None:
        """Accept from a non-blocking socket while there are fewer than `most` connections; who is at the
        limit is a stranger, too. None if it cannot: too many gates, or no room in the kernel.
        """
        ...

    def claim(self, most: int) -> int:
        """Adopt up to `most` connections that are not known yet, oldest first; how many it were."""
        ...

    def remember(self) -> None:
        """Tell the hosts of the last few that nobody claimed, each once, in the order of their ends."""
        ...

    def counted(self) -> Iterator[tuple[Any, Counted]]:
        """The accounts with news."""
        ...

    def hellos(self) -> Times:
        """How many bytes the hellos had that were read here, since the start."""
        ...


@runtime_checkable
class HasPorter(Protocol):
    """An engine that can accept connections by itself."""

    @property
    def porter(self) -> Porter: ...
