"""What failed attempts to connect add up to.  ●

Belongs here: the sorting of errnos and the one error that is raised in the end. Never here: a socket.
"""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass

from cluster.errors import Ended, Refused, UpstreamFault
from cluster.reasons import End

#: Not the destination's fault and not to be cured by the next one: this host has run out
#: (socket(2)). Trying on would only make it worse.
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One address that did not answer; `errno` 0 is a name that could not be resolved."""

    place: str
    errno: int = 0
    text: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.text or os.strerror(self.errno)}"


def timed_out(place: str, seconds: float) -> Attempt:
    """An address that was silent for its share of the time."""
    return Attempt(place=place, errno=errno.ETIMEDOUT, text=f"no answer in {seconds:.3g} s")


def failed(place: str, error: OSError) -> Attempt:
    """An address that the kernel could not connect to. Raises `Refused` if this host is exhausted."""
    number = error.errno or 0
    if number in _EXHAUSTED:
        raise Refused(End.OVERLOAD, f"{place}: no socket: {os.strerror(number)}")
    if number == errno.EADDRNOTAVAIL:
        return Attempt(
            place=place,
            errno=number,
            text="no free source port (net.ipv4.ip_local_port_range)",
        )
    return Attempt(place=place, errno=number, text=os.strerror(number))


def verdict(attempts: Sequence[Attempt]) -> Ended:
    """The error to raise when nothing answered; the last attempt decides which ending it is."""
    if not attempts:
        return UpstreamFault(End.NO_ENDPOINT, "no candidate to connect to")
    detail = "; ".join(map(str, attempts))
    if all(attempt.errno == errno.EADDRNOTAVAIL for attempt in attempts):
        return Refused(End.OVERLOAD, detail)
    if attempts[-1].errno == errno.ETIMEDOUT:
        return UpstreamFault(End.DIAL_TIMEOUT, detail)
    return UpstreamFault(End.DIAL_REFUSED, detail)
