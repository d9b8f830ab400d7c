"""The accept loop of one listening socket, and shedding when descriptors or connections run out.

Belongs here: accept(2), its errors, and what an overloaded host answers. Never here: which sockets there are
(`worker.listeners`), or anything about a connection after its accept.
"""

import errno
import os
import socket
from collections.abc import Callable

import structlog
import trio

from worker.net.leg import reset

log = structlog.get_logger()

#: Accept errors that say "not now" about this host, not something about us (accept(2)).
_OVERLOADED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
#: Errors of a connection that died in the queue: take the next one.
_DEAD_IN_QUEUE = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.EINTR})
_BATCH = 64
_PAUSE_SECONDS = 0.1

#: Starts serving a connection; False says that it is to be shed.
Admit = Callable[[socket.socket], bool]


class Acceptor:
    """Accepts from `sock` (non-blocking) for as long as `run` runs."""

    def __init__(self, sock: socket.socket, admit: Admit, shed: Callable[[], None]) -> None:
        self.sock = sock
        self._admit = admit
        self._shed = shed
        self._spare = _spare_descriptor()

    async def run(self) -> None:
        """Accept in batches; pause after an overload, so that the host can recover."""
        try:
            while True:
                await trio.lowlevel.wait_readable(self.sock)
                if not self.accept_batch():
                    await trio.sleep(_PAUSE_SECONDS)
        finally:
            self._drop_spare()

    def accept_batch(self) -> bool:
        """Accept what is there, up to a batch; False after an overload."""
        for _ in range(_BATCH):
            try:
                client, _ = self.sock.accept()
            except BlockingIOError:
                return True
            except OSError as error:
                if error.errno in _DEAD_IN_QUEUE:
                    continue
                if error.errno not in _OVERLOADED:
                    raise
                self._overloaded(error)
                return False
            if not self._admit(client):
                self._shed()
                reset(client)
        return True

    def _overloaded(self, error: OSError) -> None:
        """Out of descriptors: spend the spare one on telling a caller no, rather than let it wait."""
        log.warning("cannot accept", error=error.strerror, errno=error.errno)
        self._shed()
        if self._drop_spare():
            try:
                client, _ = self.sock.accept()
            except OSError as still:
                log.debug("the spare descriptor did not help", error=still.strerror)
            else:
                reset(client)
        self._spare = _spare_descriptor()

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
