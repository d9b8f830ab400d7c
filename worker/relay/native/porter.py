"""The trio side of the native porter: gates, who is adopted, and the accounts.

Belongs here: the crossing between the two threads for what the loop accepts. Never here: a decision, which
is in the directory, or a connection once it is adopted.
"""

import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import trio

from worker.net.sockets import ephemeral_ports
from worker.relay.engine import RelayLimits, Times
from worker.relay.native._gates import Account, Directory, Gates, Places
from worker.relay.native._loop import ENDS, Loop, Ticket
from worker.relay.native.limits import nanoseconds, numbers
from worker.relay.porter import Counted, Lead, Leading, Passed


class NativeGate:
    """See `worker.relay.porter.Gate`."""

    def __init__(
        self, porter: "NativePorter", number: int, stranger: Callable[[int], object]
    ) -> None:
        self._porter = porter
        self._number = number
        self.stranger = stranger
        self.is_left = trio.Event()
        self._is_open = True

    def serve(self, leading: Leading) -> None:
        self._porter.serve(self._number, leading)

    async def left(self) -> None:
        await self.is_left.wait()

    def resume(self) -> bool:
        if not self._is_open or not self.is_left.is_set():
            return True
        if not self._porter.gates.resume(self._number):
            return False
        self.is_left = trio.Event()
        return True

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._porter.close(self._number)


class NativePorter:
    """See `worker.relay.porter.Porter`. Bounds are of histograms: seconds of lives, bytes of hellos."""

    def __init__(
        self, loop: Loop, life_bounds: Sequence[float] = (), hello_bounds: Sequence[float] = ()
    ) -> None:
        self.places = Places()
        self._loop = loop
        self.gates = Gates(
            loop, self.places, secrets.randbits(63) + 1, tuple(life_bounds), tuple(hello_bounds)
        )
        self.hellos: Callable[[], Times] = self.gates.hellos
        self._life_buckets = len(life_bounds) + 1
        self._ports = ephemeral_ports()
        self._open: dict[int, NativeGate] = {}
        self._accounts: dict[Any, Account] = {}
        self._served: list[Directory] = []

    def draw_up(self, leads: Sequence[Lead]) -> Directory:
        entries = [
            (
                lead.server_name.encode("ascii"),
                nanoseconds(lead.dial_seconds),
                self._account(lead.account),
                lead.endpoints,
            )
            for lead in leads
        ]
        return Directory(entries, tuple(leads), self._ports)

    def _account(self, key: Any) -> Account:
        found = self._accounts.get(key)
        return found or self._accounts.setdefault(key, Account(key))

    def open(
        self,
        listening: socket.socket,
        leading: Leading,
        stranger: Callable[[int], object],
        *,
        limits: RelayLimits,
        most: int | None,
    ) -> NativeGate | None:
        directory = self._prepared(leading)
        number = self.gates.open(
            listening.fileno(),
            directory,
            leading.generation,
            -1 if most is None else most,
            *numbers(limits),
        )
        if number < 0:
            return None
        gate = self._open[number] = NativeGate(self, number, stranger)
        return gate

    def serve(self, number: int, leading: Leading) -> None:
        """Have a gate lead elsewhere."""
        self.gates.serve(number, self._prepared(leading), leading.generation)
        self._forget_unused()

    def _prepared(self, leading: Leading) -> Directory:
        directory = leading.directory
        assert isinstance(directory, Directory)
        directory.host = leading.host
        if directory not in self._served:
            self._served.append(directory)
        return directory

    def _forget_unused(self) -> None:
        """A directory is needed while a gate serves it, and until those it led are told of."""
        if any(one.users and not self.gates.serves(one) for one in self._served):
            self.remember()
        self._served = [one for one in self._served if self.gates.serves(one) or one.users]

    def close(self, number: int) -> None:
        """Close a gate, and hand its strangers over."""
        self.gates.close(number)
        self.answer()
        del self._open[number]

    def answer(self) -> None:
        """See to what the loop has left to us."""
        for number, descriptor in self.gates.strangers():
            gate = self._open[number]
            if descriptor is None:
                gate.is_left.set()
            else:
                gate.stranger(descriptor)

    def claim(self, most: int) -> int:
        claimed = self._loop.claim(most)
        for ticket in claimed:
            self.adopt(ticket)
        return len(claimed)

    def adopt(self, ticket: Ticket) -> None:
        """Have a connection taken into the register. The directory, which may be an old one, is let go."""
        directory, ticket.directory = ticket.directory, None
        assert directory is not None
        directory.host.adopt(ticket, directory.keep[ticket.route])

    def remember(self) -> None:
        for directory, route, drawn, generation, age, ago, up, down, outcome in self.gates.passed():
            end = ENDS[outcome]
            assert end is not None
            passed = Passed(
                drawn=drawn,
                generation=generation,
                age_seconds=age,
                ago_seconds=ago,
                bytes_up=up,
                bytes_down=down,
                end=end,
            )
            directory.host.remember(passed, directory.keep[route])

    def counted(self) -> Iterator[tuple[Any, Counted]]:
        self._forget_unused()
        for account in tuple(self._accounts.values()):
            if account.has_news:
                yield account.keep, self._taken(account)

    def _taken(self, account: Account) -> Counted:
        opened, closed, up, down, counts, seconds = account.take(self._life_buckets)
        return Counted(
            opened=opened,
            closed={
                end: count
                for end, count in zip(ENDS, closed, strict=True)
                if end is not None and count
            },
            bytes_up=up,
            bytes_down=down,
            lasted=(counts, seconds),
        )
