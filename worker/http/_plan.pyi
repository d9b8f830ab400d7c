from collections.abc import Callable, Mapping
from typing import Protocol

from cluster.authorize import Permit
from cluster.balance.limits import UpstreamLimits
from cluster.names import ServiceName
from cluster.routes import Endpoint
from worker.http.heads import Hop
from worker.http.pool import Key, Pools
from worker.http.room import Room

class _Current(Protocol):
    @property
    def view(self) -> object: ...

class _Origination(Protocol):
    def context(self) -> object: ...

class _Number(Protocol):
    value: float

class _Spread(Protocol):
    bounds: tuple[float, ...]
    counts: list[int]
    total: float

class _Meters(Protocol):
    @property
    def seconds(self) -> _Spread: ...
    def requests(self, code: int, /) -> _Number: ...

class _Register(Protocol):
    @property
    def all_in_at(self) -> float: ...
    @property
    def standings(self) -> Mapping[tuple[str, int], object]: ...

class _Standings(Protocol):
    def succeeded(self, endpoint: Endpoint) -> None: ...

class Lane:
    """The pool and the room of one endpoint, as the requests of one plan use them."""

    @property
    def endpoint(self) -> Endpoint: ...
    def __init__(
        self,
        *,
        endpoint: Endpoint,
        host: bytes | None,
        pools: Pools,
        key: Key,
        made_with: object = None,
        origination: _Origination | None = None,
        room: Room | None = None,
        limits: UpstreamLimits | None = None,
    ) -> None:
        """`host` is whom the endpoint is told to be, None for whom was asked for. Connections are made with
        `made_with`, or with what `origination` says then.
        """

class Plan:
    """See the module."""

    @property
    def made_of(self) -> object:
        """What the gateway kind keeps with it."""

    @property
    def permit(self) -> Permit | None: ...
    @property
    def service(self) -> ServiceName: ...
    @property
    def timeout_seconds(self) -> float: ...
    def __init__(
        self,
        *,
        current: _Current,
        made_of: object,
        host: bytes | None,
        service: ServiceName,
        hop: Hop,
        believes: bool,
        timeout_seconds: float,
        meters: _Meters,
        make_lane: Callable[[Endpoint], Lane],
        endpoint: Endpoint | None = None,
        draw: Callable[[], Endpoint | None] | None = None,
        permit: Permit | None = None,
        counted: tuple[_Number, ...] = (),
        register: _Register | None = None,
        standings: _Standings | None = None,
        failed: Callable[[Endpoint], object] | None = None,
    ) -> None:
        """For the requests to `host` (None: to any), of the view that is current now.

        With `believes` what a caller says of earlier hops goes on. The endpoint is `endpoint`, or what
        `draw` gives. `permit` is in the register while a request is under way, where it is not for as long
        as the connection lasts; each request counts one in each of `counted`. With `register` and
        `standings` it is kept how endpoints do, `failed` is told of those that answer with a failure, and
        no request is a plan's while any endpoint is out.
        """
