"""A way: all that is decided about a request once its route and its split are known.

Belongs here: the value, and the request as it is sent on. Never here: which way a request takes
(`cluster.http.routing.routes`), or which endpoint of a target (`cluster.balance`).

Ways are made when a snapshot is compiled; a request is given one of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from cluster.balance import Balancer, HashPolicy
from cluster.chain import Target
from cluster.http.modifiers import Modifier, modified
from cluster.http.request import Headers, Request
from cluster.http.retries import Retries

from .rewrite import Rewrite

DEFAULT_REQUEST_TIMEOUT_SECONDS = 15.0
DEFAULT_IDLE_TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """`targets` are the first choice and those that stand in for it, in order.

    A timeout of None is none. The request's covers all attempts; over it is 504.
    """

    targets: tuple[Target, ...]
    balancer: Balancer
    hash_policies: tuple[HashPolicy, ...] = ()
    request_timeout_seconds: float | None = DEFAULT_REQUEST_TIMEOUT_SECONDS
    idle_timeout_seconds: float | None = DEFAULT_IDLE_TIMEOUT_SECONDS
    retries: Retries | None = None
    rewrite: Rewrite | None = None
    request_headers: tuple[Modifier, ...] = ()
    response_headers: tuple[Modifier, ...] = ()

    def onward(self, request: Request) -> Request:
        """The request as the destination gets it."""
        if self.rewrite is None and not self.request_headers:
            return request
        return msgspec.structs.replace(
            request,
            path=request.path if self.rewrite is None else self.rewrite(request.path),
            headers=modified(request.headers, self.request_headers),
        )

    def back(self, headers: Headers) -> Headers:
        """The headers of the response as the client gets them."""
        return modified(headers, self.response_headers)

    def target(self, is_up: Callable[[Target], bool]) -> Target | None:
        """The first target with an endpoint that may be used: a switch, not a gradual spill."""
        return next((target for target in self.targets if is_up(target)), None)
