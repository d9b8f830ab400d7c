"""Waits for a ClientHello and leaves it in the socket.

The bytes are peeked at, never taken. So whoever serves the connection next finds a clean socket:
OpenSSL can sit directly on it, and a mesh gateway relays it as it is.

A half hello would make a peeked socket readable for ever. Therefore SO_RCVLOWAT is raised to what
the parser says it needs: the kernel then wakes us when that much is there, or the peer is gone, and
sets no more than a few wake-ups per TLS record against a client that sends byte by byte. Where the
kernel wakes us all the same (short of memory, or a socket that is not TCP) a pause keeps it from
spinning.

Belongs here: the waiting. Never here: how a hello is read (`worker.tls.clienthello`) or what a
refused client is told (`worker.tls.alerts`).
"""

import contextlib
import select
import socket

import trio

from cluster.errors import ClientFault
from cluster.reasons import End, HelloReject
from worker.tls.clienthello import DEFAULT_LIMITS, BadHello, ClientHello, Limits, NeedMore, parse

Hello = ClientHello

_FIRST_LOOK_BYTES = 4096
#: Between two looks that found nothing new.
_PAUSE_SECONDS = 0.02


class HelloRefused(ClientFault):
    """There will be no hello on this connection; `reject` says why, for metrics and the answer."""

    def __init__(self, reject: HelloReject, detail: str) -> None:
        end = End.HELLO_TIMEOUT if reject is HelloReject.TIMEOUT else End.BAD_HELLO
        super().__init__(end, detail)
        self.reject = reject


async def read(
    sock: socket.socket, *, timeout_seconds: float, limits: Limits = DEFAULT_LIMITS
) -> Hello:
    """The hello at the start of a non-blocking `sock`, from which not a byte is taken.

    Raises `HelloRefused`: `bad_hello` for what is no hello, is beyond the limits or ends early (a
    connection without a byte is a port probe: reject CLOSED), `hello_timeout` after the deadline.
    """
    with trio.move_on_after(timeout_seconds):
        await trio.lowlevel.checkpoint_if_cancelled()
        seen = look(sock, limits)
        if isinstance(seen, ClientHello):
            return seen
        return await _wait(sock, seen, limits)
    raise HelloRefused(HelloReject.TIMEOUT, f"no whole ClientHello in {timeout_seconds:g} s")


def look(sock: socket.socket, limits: Limits = DEFAULT_LIMITS) -> Hello | NeedMore:
    """What is there now, for the common case of a hello that came with the accept.

    Raises `HelloRefused` as `read` does, for an end of the stream before a whole hello too.
    """
    data = _peek(sock, _FIRST_LOOK_BYTES)
    seen = _parse(data, limits)
    if isinstance(seen, NeedMore) and len(data) == _FIRST_LOOK_BYTES:
        seen = _parse(_peek(sock, limits.max_bytes), limits)
    if isinstance(seen, NeedMore) and _is_over(sock):
        data = _peek(sock, limits.max_bytes)  # the last bytes may have come just before the end
        seen = _parse(data, limits)
        if isinstance(seen, NeedMore):
            raise HelloRefused(HelloReject.CLOSED, f"closed after {len(data)} bytes of a hello")
    return seen


async def _wait(sock: socket.socket, seen: NeedMore, limits: Limits) -> Hello:
    needed = 0
    try:
        while True:
            if seen.total > needed:
                needed = seen.total
                _wake_at(sock, needed)
            else:
                await trio.sleep(_PAUSE_SECONDS)
            await trio.lowlevel.wait_readable(sock.fileno())
            found = look(sock, limits)
            if isinstance(found, ClientHello):
                return found
            seen = found
    finally:
        _wake_at(sock, 1)


def _peek(sock: socket.socket, size: int) -> bytes:
    """All bytes that wait in the socket, up to `size`; empty if there are none yet."""
    try:
        return sock.recv(size, socket.MSG_PEEK)
    except BlockingIOError:
        return b""
    except OSError as error:
        raise HelloRefused(HelloReject.CLOSED, f"{error.strerror} before a hello") from error


def _parse(data: bytes, limits: Limits) -> Hello | NeedMore:
    try:
        return parse(data, limits)
    except BadHello as bad:
        raise HelloRefused(bad.reject, bad.detail) from None


def _is_over(sock: socket.socket) -> bool:
    """Whether the peer ended its side. A peek cannot tell: it returns the same bytes again."""
    poll = select.poll()
    poll.register(sock, select.POLLRDHUP)
    return bool(poll.poll(0))


def _wake_at(sock: socket.socket, total: int) -> None:
    """Have the socket become readable at `total` unread bytes; a peer that is gone wakes as well."""
    with contextlib.suppress(OSError):  # closed meanwhile: nobody waits for it any more
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, total)
