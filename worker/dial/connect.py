"""Connecting: candidates in the order given, each within its time, until one answers.

A candidate's time is shared by its addresses: each gets an equal part of what is left, so that one
silent address of a name cannot use up the time of the next. Looking up the name counts too.

Belongs here: the attempts. Never here: the order of candidates, retries over time, or what the
failures mean (`worker.dial.attempts`).
"""

import errno
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import trio

from worker.dial.attempts import Attempt, failed, timed_out, verdict
from worker.dial.literal import is_address
from worker.dial.resolve import Resolver, Unresolvable
from worker.net.sockets import address_text, outbound_socket


class Candidate(Protocol):
    """Anything with a host and a port."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A place to connect to: an IPv4 or IPv6 literal (without brackets) or a DNS name."""

    host: str
    port: int

    def __str__(self) -> str:
        return address_text(self.host, self.port)


AnyCandidate = TypeVar("AnyCandidate", bound=Candidate)


class Dialer:
    """Connects to upstreams; one per worker, for any number of tasks at once."""

    def __init__(
        self,
        resolver: Resolver | None = None,
        *,
        connect_timeout_seconds: float = 5.0,
        open_socket: Callable[[int], socket.socket] = outbound_socket,
    ) -> None:
        self._resolver = resolver or Resolver()
        self._timeout_seconds = connect_timeout_seconds
        self._open_socket = open_socket

    async def connect(
        self,
        candidates: Sequence[AnyCandidate],
        *,
        connect_timeout_seconds: float | None = None,
        tried: Sequence[tuple[Candidate, OSError]] = (),
    ) -> tuple[socket.socket, AnyCandidate]:
        """A connected, non-blocking socket and the candidate that it leads to.

        `tried` are candidates that have failed before. The timeout is per candidate (as Consul's
        `ConnectTimeout` is per instance). Raises `UpstreamFault` (no_endpoint, dial_refused,
        dial_timeout) naming every address tried, or `Refused(overload)` when this host has no
        descriptor, memory or source port left.
        """
        seconds = (
            self._timeout_seconds if connect_timeout_seconds is None else connect_timeout_seconds
        )
        attempts = [failed(_place(earlier.host, earlier), error) for earlier, error in tried]
        for candidate in candidates:
            sock = await self._try(candidate, trio.current_time() + seconds, attempts)
            if sock is not None:
                return sock, candidate
        await trio.lowlevel.checkpoint()
        raise verdict(attempts)

    async def _try(
        self, candidate: Candidate, deadline: float, attempts: list[Attempt]
    ) -> socket.socket | None:
        hosts = await self._addresses(candidate, deadline, attempts)
        for left, host in zip(range(len(hosts), 0, -1), hosts, strict=True):
            share = (deadline - trio.current_time()) / left
            sock = await self._attempt(host, candidate, max(share, 0.0), attempts)
            if sock is not None:
                return sock
        return None

    async def _addresses(
        self, candidate: Candidate, deadline: float, attempts: list[Attempt]
    ) -> tuple[str, ...]:
        if is_address(candidate.host):
            return (candidate.host,)
        place = address_text(candidate.host, candidate.port)
        started = trio.current_time()
        try:
            with trio.fail_at(deadline):
                return await self._resolver.resolve(candidate.host)
        except Unresolvable as error:
            attempts.append(Attempt(place=place, text=str(error)))
        except trio.TooSlowError:
            attempts.append(timed_out(f"{place} (name lookup)", trio.current_time() - started))
        return ()

    async def _attempt(
        self, host: str, candidate: Candidate, seconds: float, attempts: list[Attempt]
    ) -> socket.socket | None:
        place = _place(host, candidate)
        try:
            with trio.fail_after(seconds):
                return await self._connect(host, candidate.port)
        except trio.TooSlowError:
            attempts.append(timed_out(place, seconds))
        except OSError as error:
            attempts.append(failed(place, error))
        return None

    async def _connect(self, host: str, port: int) -> socket.socket:
        sock = self._open_socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            await _connected(sock, (host, port))
        except BaseException:
            sock.close()
            raise
        return sock


async def _connected(sock: socket.socket, address: tuple[str, int]) -> None:
    try:
        sock.connect(address)
    except BlockingIOError:
        await trio.lowlevel.wait_writable(sock.fileno())
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, "") from None
    else:
        await trio.lowlevel.checkpoint()
    if sock.getsockname() == sock.getpeername():
        # TCP's simultaneous open: nobody listens, and the kernel chose that very port for us.
        raise ConnectionRefusedError(errno.ECONNREFUSED, "")


def _place(host: str, candidate: Candidate) -> str:
    place = address_text(host, candidate.port)
    return place if host == candidate.host else f"{candidate.host} at {place}"
