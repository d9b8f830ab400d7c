from worker.http._channel import Channel
from worker.http._rounds import Waiting
from worker.http.backend import Backend, Way
from worker.http.begun import Begun
from worker.http.express import Express
from worker.http.limits import HttpLimits
from worker.http.patience import Patience
from worker.http.pool import Upstream
from worker.http.requests import RequestHead
from worker.http.wire import Wire

class Steps(Waiting):
    express: Express
    client: Wire
    backend: Backend
    patience: Patience
    channel: Channel
    #: The request that is under way without a plan, its body, and whom any was sent to.
    begun: Begun | None
    body: bytes
    way: Way
    upstream: Upstream | None
    #: Whether the caller has sent more meanwhile; whether the rest of a body is waited for a moment.
    has_more: bool
    is_held: bool
    #: Whether no request has come here.
    is_first: bool
    #: Whether callers are to be told to go elsewhere.
    is_leaving: bool
    #: When `patience` looks next.
    looked_at: float

    def __init__(
        self,
        express: Express,
        client: Wire,
        channel: Channel,
        backend: Backend,
        patience: Patience,
        limits: HttpLimits,
    ) -> None: ...
    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""

    def begin_waiting(self) -> None:
        """For the next request; from now on `patience` is told when it looks."""

    def end_waiting(self) -> None:
        """Somebody else says what is waited for."""

    def tell(self) -> None:
        """Tell `patience` what is waited for."""

    def settle(self) -> None:
        """Make what is under way by a plan, if anything is, what a task goes on with."""

    def carried(self) -> tuple[object, RequestHead, float] | None:
        """What is under way by a plan: what that was made of, the request, and since when (trio's clock)."""
