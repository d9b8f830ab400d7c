from worker.http._channel import Channel
from worker.http.backend import Backend, Way
from worker.http.begun import Begun
from worker.http.express import Express
from worker.http.limits import HttpLimits
from worker.http.patience import Patience
from worker.http.pool import Upstream
from worker.http.wire import Wire

class Steps:
    express: Express
    client: Wire
    backend: Backend
    patience: Patience
    channel: Channel
    #: The request that is under way, its body, and whom it was sent to.
    begun: Begun | None
    body: bytes
    way: Way
    upstream: Upstream | None
    #: Whether the caller has sent more meanwhile; whether the rest of a body is waited for a moment.
    has_more: bool
    is_held: bool
    #: Whether no request has come here.
    is_first: bool

    def __init__(
        self,
        express: Express,
        client: Wire,
        channel: Channel,
        backend: Backend,
        patience: Patience,
        limits: HttpLimits,
    ) -> None: ...
    def come(self) -> None: ...
    def answer(self) -> None: ...
