"""Refusing a connection so that the refusal arrives.

Belongs here: the last bytes to a peer that we do not serve. Never here: which bytes (`worker.tls.alerts`).

Closing a socket that holds unread bytes makes the kernel send a reset, and a reset may overtake and destroy
the alert. So: read what is there, send, end our direction, and wait a moment for the peer to go.
"""

import contextlib
import socket

import trio

#: How long a refused peer may take to hang up, and how much it may still send meanwhile.
LINGER_SECONDS = 1.0
LINGER_BYTES = 256 * 1024


async def refuse(sock: socket.socket, answer: bytes) -> None:
    """Send `answer` (maybe nothing), end our direction, and drain for a bounded time. No OSError."""
    with trio.move_on_after(LINGER_SECONDS), contextlib.suppress(OSError):
        left = _drain(sock, LINGER_BYTES)
        if answer:
            sock.send(answer)
        sock.shutdown(socket.SHUT_WR)
        while left > 0:
            await trio.lowlevel.wait_readable(sock)
            left = _drain(sock, left)


def _drain(sock: socket.socket, limit: int) -> int:
    """Read and drop up to `limit` bytes; how much of it is left, 0 at the end of the stream."""
    while limit > 0:
        try:
            count = len(sock.recv(min(limit, 65536)))
        except BlockingIOError:
            return limit
        if not count:
            return 0
        limit -= count
    return 0
