"""The accept loop of one listening socket, and shedding when descriptors or connections run out.

Belongs here: accept(2), its errors, and what an overloaded host answers. Never here: which sockets there are
(`worker.listeners`), or anything about a connection after its accept.
"""

import errno
import os
import socket
from collections.abc import Callable
from enum import Enum, auto, unique

import structlog
import trio

from worker.arrival import Accept, Arrival, accept
from worker.net.leg import reset
from worker.relay.porter import Gate

log = structlog.get_logger()

#: Accept errors that say "not now" about this host, not something about us (accept(2)).
_OVERLOADED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
#: Errors of a connection that died in the queue, network errors among them: take the next one.
_DEAD_IN_QUEUE = frozenset(
    {
        errno.ECONNABORTED,
        errno.EPROTO,
        errno.EPERM,
        errno.ENETDOWN,
        errno.ENOPROTOOPT,
        errno.EHOSTDOWN,
        errno.ENONET,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
    }
)
_BATCH = 64
#: Serving may begin with cryptography: a batch ends when it has taken so long.
_BATCH_SECONDS = 0.002
#: The longest queue that a kernel keeps for us: as many batches empty it.
_MOST_BATCHES = 4096 // _BATCH
_PAUSE_SECONDS = 0.1

#: Starts serving a connection; False says that it is to be shed.
Admit = Callable[[Arrival], bool]


@unique
class Batch(Enum):
    """How a batch of accepts ended."""

    EMPTY = auto()  # nobody waits any more
    FULL = auto()  # there may be more
    OVERLOADED = auto()  # no descriptor or memory for the next one


class Acceptor:
    """Accepts from `sock` (non-blocking) for as long as `run` runs. `shed` is called for each one refused.

    `after_batch` is called when a batch has been admitted. With a `gate` the engine accepts, and only whom it
    leaves to us is ours: `admit_stranger`, or everybody while it is left altogether.
    """

    def __init__(
        self,
        sock: socket.socket,
        admit: Admit,
        shed: Callable[[], None],
        *,
        after_batch: Callable[[], None] = lambda: None,
        accept: Accept = accept,
    ) -> None:
        self.sock = sock
        self._after_batch = after_batch
        self._accept = accept
        self._admit = admit
        self._shed = shed
        self._spare = _spare_descriptor()
        self._is_overloaded = False
        self.gate: Gate | None = None

    async def run(self) -> None:
        """Accept in batches; pause after an overload, so that the host can recover."""
        try:
            while True:
                # The socket may have been given up, and closed, before this task had its turn: a
                # cancellation comes too late for one that is new, or has been woken already.
                await trio.lowlevel.checkpoint_if_cancelled()
                await self._somebody_is_ours()
                await trio.lowlevel.checkpoint_if_cancelled()
                if self.accept_batch() is Batch.OVERLOADED or not self._resumed():
                    await trio.sleep(_PAUSE_SECONDS)
        finally:
            self._drop_spare()

    async def _somebody_is_ours(self) -> None:
        if self.gate is None:
            await trio.lowlevel.wait_readable(self.sock)
        else:
            await self.gate.left()

    def _resumed(self) -> bool:
        """Whether the engine accepts again, if it is to."""
        return self.gate is None or self.gate.resume()

    def admit_stranger(self, descriptor: int) -> None:
        """One that the engine has accepted and left to us, its hello unread."""
        arrival = descriptor, None, 0
        if not self._admit(arrival):
            self._refuse(arrival)

    def accept_waiting(self) -> None:
        """Accept all that the kernel has queued, and wait for nobody."""
        for _ in range(_MOST_BATCHES):
            if self.accept_batch() is not Batch.FULL:
                return

    def accept_batch(self) -> Batch:
        """Accept what is there, up to a batch."""
        try:
            return self._accept_batch()
        finally:
            self._after_batch()

    def _accept_batch(self) -> Batch:
        until = trio.current_time() + _BATCH_SECONDS
        for _ in range(_BATCH):
            try:
                arrival = self._accept(self.sock)
            except OSError as error:
                if error.errno in _DEAD_IN_QUEUE:
                    continue
                if error.errno not in _OVERLOADED:
                    raise
                self._overloaded(error)
                return Batch.OVERLOADED
            self._recovered()  # a descriptor is there, or it would have failed even with nobody waiting
            if arrival is None:
                return Batch.EMPTY
            if not self._admit(arrival):
                self._refuse(arrival)
            if trio.current_time() > until:
                break
        return Batch.FULL

    def _recovered(self) -> None:
        if self._is_overloaded:
            self._is_overloaded = False
            log.info("accepting again")

    def _overloaded(self, error: OSError) -> None:
        """Out of descriptors: spend the spare one on telling callers no, rather than let them wait."""
        if not self._is_overloaded:
            self._is_overloaded = True
            log.warning("cannot accept: shedding", error=error.strerror, errno=error.errno)
        if self._drop_spare():
            self._shed_batch()
        self._spare = _spare_descriptor()

    def _shed_batch(self) -> None:
        for _ in range(_BATCH):
            try:
                arrival = self._accept(self.sock)
            except OSError:
                return  # the spare descriptor was not what is lacking
            if arrival is None:
                return
            self._refuse(arrival)

    def _refuse(self, arrival: Arrival) -> None:
        self._shed()
        reset(socket.socket(fileno=arrival[0]))

    def _drop_spare(self) -> bool:
        spare, self._spare = self._spare, None
        if spare is not None:
            os.close(spare)
        return spare is not None


def _spare_descriptor() -> int | None:
    try:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
