"""What turns without a task ask of a gateway kind: a plan, and what a task needs when it takes over.

Belongs here: the questions, as protocols. Never here: an answer (`worker.gateways`), or a plan (`_plan`).
"""

from array import array
from typing import TYPE_CHECKING, Protocol

from cluster.routes import Endpoint
from worker.http.pool import Upstream
from worker.http.requests import RequestHead

if TYPE_CHECKING:
    from worker.http._plan import Plan
    from worker.http.backend import Way


class Carrying(Protocol):
    """The turns of one connection."""

    def carried(self) -> tuple[object, RequestHead, float] | None:
        """What is under way by a plan: what that was made of, the request, and since when (trio's clock)."""
        ...


class Planning(Protocol):
    """Asked only where turns need no task (`worker.http.express`)."""

    def account(self) -> tuple[object, "array[int]"]:
        """The connection's entry in the register, and its bytes by `worker.relay.engine.UP` and `DOWN`."""
        ...

    def chance(self) -> int:
        """64 bits of it."""
        ...

    def follow(self, turns: Carrying | None) -> None:
        """Who is to be asked what is carried by a plan; None: nobody any more."""
        ...

    def plan(self) -> "Plan | None":
        """What holds for every request like the one that was judged last, as long as the view does."""
        ...

    def led(
        self,
        made_of: object,
        request: RequestHead,
        started: float,
        endpoint: Endpoint,
        upstream: Upstream | None,
    ) -> "Way":
        """The way of a request that a plan made of `made_of` has led to this endpoint, and over this
        connection if there was one. The plan has counted the request, and this counts it no more.
        """
        ...
