"""What HTTP asks of a gateway kind: is this request permitted, and which way does it go?

Belongs here: the questions, as protocols. Never here: an answer (`worker.gateways`), or when it is asked for
(`conversation`).
"""

from collections.abc import Callable
from typing import Protocol

from cluster.http.retries import Outcome
from cluster.reasons import End
from cluster.routes import Endpoint
from worker.http.answers import Answer
from worker.http.asking import Place
from worker.http.heads import Outgoing
from worker.http.planning import Planning
from worker.http.pool import Upstream
from worker.http.requests import RequestHead
from worker.http.responses import ResponseHead
from worker.http.wire import Wire


class Unserved(Exception):
    """There is no upstream to be had, and this is what the caller is told."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.text)
        self.answer = answer


class Way(Protocol):
    """What was decided about one request that may go on."""

    @property
    def timeout_seconds(self) -> float:
        """How long the upstream may take to answer a whole request."""
        ...

    def head(self, request: RequestHead, endpoint: Endpoint) -> Outgoing:
        """The request's head as this endpoint gets it."""
        ...

    def amend(self, response: ResponseHead) -> ResponseHead:
        """The answer's head as the caller gets it."""
        ...

    def at_once(self) -> Upstream | None:
        """A connection for the first attempt, if there is one that was used before, and a failure of it is no
        more than that. The next `connect` gives the same one, or goes on from where this had to stop.
        """
        ...

    async def connect(self, *, afresh: bool) -> Upstream | Place:
        """A connection to an upstream, or a place on one; with `afresh` on none that was used before. Raises
        `Unserved`.
        """
        ...

    def release(self, upstream: Upstream, *, reusable: bool) -> None:
        """The exchange is over."""
        ...

    def failed(self) -> None:
        """The upstream was asked, and has not answered: lost, no HTTP, or too late."""
        ...

    @property
    def may_repeat(self) -> bool:
        """Whether there are attempts after which `again` might say yes."""
        ...

    def again(self, outcome: Outcome) -> float | None:
        """Another attempt after one that came to this, and in how many seconds? If so, the next `connect`
        leads elsewhere where it can. Asked only about requests that can be sent once more.
        """
        ...

    async def relay(self, client: Wire, upstream: Upstream) -> End:
        """Carry bytes from now on; `upstream` is closed by this."""
        ...


class Backend(Planning, Protocol):
    """Whom a connection's requests go to."""

    def judge(self, request: RequestHead) -> Way | Answer:
        """May this request be made, and which way does it go? By the rules of this moment."""
        ...

    def answered(self, status: int, seconds: float) -> None:
        """One request is over; `seconds` since its head was read."""
        ...

    def is_leaving(self) -> bool:
        """Whether callers are to be told to go elsewhere."""
        ...

    def waits(self, wake: Callable[[], object] | None) -> None:
        """The connection is idle until its next request, and `wake` ends it; None: no longer."""
        ...
