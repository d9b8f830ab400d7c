"""One request at an upstream, whichever HTTP it speaks: what stands between any caller and any upstream.

A caller sends a body as it comes and reads an answer as it comes, in two tasks if there is a body. Pieces are
asked for one by one, so whoever is slow stops the other side, and nothing is held. How long anything may take
is the caller's to say.

Belongs here: the protocol. Never here: how it is done (`asks` in HTTP/1.1, `worker.http2`), which upstream
(`backend`), or what a caller is told (`conversation`).
"""

from typing import Protocol

from cluster.routes import Endpoint
from worker.http.exchange import UpstreamLost
from worker.http.fields import Fields
from worker.http.heads import Outgoing
from worker.http.requests import RequestHead
from worker.http.responses import ResponseHead

#: May be sent twice without harm (RFC 9110 section 9.2.2).
IDEMPOTENT = frozenset({b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PUT", b"TRACE"})


class Ask(Protocol):
    """One request, after its head was sent. One task may send while another reads."""

    #: What came behind the answer's body, names in lower case, without what may not be there
    #: (`NOT_IN_TRAILERS`); whole after `read` gave `b""`.
    trailers: Fields

    async def send(self, content: bytes) -> None:
        """A piece of the body, not empty, all of them as long as the request's head says; waits until the
        upstream has room. Raises nothing: what an upstream does not take any more is dropped, and the
        answer, or its failure, says why.
        """
        ...

    async def end(self, trailers: Fields = ()) -> None:
        """The body is over; once, and only for a request whose head says that it has one (`has_body`).
        Trailers with a body of known length are dropped where the upstream speaks HTTP/1.1. Raises nothing.
        """
        ...

    async def head(self) -> ResponseHead:
        """The next head; again after an interim one (1xx, 100 among them). The final one says by `ends`
        whether there is a body. Raises `UpstreamLost`, `BadResponse`.
        """
        ...

    async def read(self) -> bytes:
        """A piece of the answer's body as it comes, `b""` at its end; at once if there is none. Raises
        `CutShort`.
        """
        ...

    @property
    def is_ready(self) -> bool:
        """Whether `read` gives something at once: a piece, or the end."""
        ...

    def give_back(self, *, reusable: bool) -> None:
        """The exchange is over; once, however it ended. What is not at its end is reset; `reusable` says
        that otherwise the connection may serve others.
        """
        ...


class Place(Ask, Protocol):
    """Room for one request on a connection that carries many, and then that request."""

    @property
    def endpoint(self) -> Endpoint:
        """Whom it leads to."""
        ...

    async def open(self, head: Outgoing) -> None:
        """Send the head: the whole request, if it has no body. Raises nothing; see `send`."""
        ...


def may_repeat(lost: UpstreamLost, request: RequestHead) -> bool:
    """Whether a request of whose body nothing was sent may be asked once more, on another connection."""
    if lost.unasked:
        return True
    return lost.unanswered and lost.was_used and request.method in IDEMPOTENT
