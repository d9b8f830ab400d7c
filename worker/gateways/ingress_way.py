"""One request at an ingress gateway on its way in, and its head as it arrives.

Belongs here: what a route makes of a request and of its answer. Never here: choosing the route
(`ingress_requests`), or a connection (`ingress_upstreams`).
"""

from typing import Protocol

import msgspec

from cluster.http import Request
from cluster.http.affinity import Affinity
from cluster.http.request import Headers
from cluster.http.retries import Outcome, pause_seconds
from cluster.reasons import End
from cluster.routes import Endpoint
from worker.gateways.inbound import Inbound
from worker.gateways.ingress_upstreams import Upstreams
from worker.gateways.request_way import request_id_of
from worker.http.asking import Place
from worker.http.fields import FORWARDED, Fields
from worker.http.heads import Hop, Outgoing
from worker.http.pool import Upstream
from worker.http.requests import RequestHead
from worker.http.responses import ResponseHead
from worker.http.wire import Wire
from worker.telemetry.metrics import RetryEnd
from worker.view.view import IngressTarget, IngressWay

_NOT_BELIEVED = frozenset(
    name.decode() for name in FORWARDED - {b"x-forwarded-for", b"x-request-id"}
)


class Visitor(Protocol):
    """Who asks."""

    inbound: Inbound
    hop: Hop

    def count_retry(self, end: RetryEnd) -> None:
        """A request is made again, or would have been, but for the limit."""
        ...


class Way:
    """One request on its way in; see `worker.http.conversation.Way`."""

    __slots__ = ("_affinity", "_found", "_retries_made", "_sent", "_upstreams", "_visitor")

    def __init__(
        self,
        visitor: Visitor,
        sent: RequestHead,
        found: IngressWay,
        affinity: Affinity,
        upstreams: Upstreams,
    ) -> None:
        self._visitor = visitor
        self._sent = sent
        self._found = found
        self._affinity = affinity
        self._upstreams = upstreams
        self._retries_made = 0

    @property
    def timeout_seconds(self) -> float:
        seconds = self._found.way.request_timeout_seconds
        return float("inf") if seconds is None else seconds

    def head(self, request: RequestHead, endpoint: Endpoint) -> Outgoing:
        chance = self._visitor.inbound.world.chance
        return Outgoing(
            request=self._sent,
            hop=self._visitor.hop,
            host=self._sent.host or str(endpoint).encode(),
            request_id=request_id_of(chance.getrandbits(128)),
        )

    def amend(self, response: ResponseHead) -> ResponseHead:
        """With the changes of split, route and listener, and cookies that keep the client in one place."""
        self._upstreams.answered(response)
        way, given = self._found.way, self._affinity.cookies
        if not way.response_headers and not given:
            return response
        headers = way.back(_text(response.fields))
        cookies = tuple(("set-cookie", cookie) for cookie in given)
        return msgspec.structs.replace(response, fields=_bytes((*headers, *cookies)))

    def failed(self) -> None:
        self._upstreams.failed()

    @property
    def may_repeat(self) -> bool:
        return self._found.way.retries is not None

    def again(self, outcome: Outcome) -> float | None:
        retries, visitor = self._found.way.retries, self._visitor
        if retries is None or not retries.covers(outcome):
            return None
        if not retries.again(outcome, self._retries_made):
            visitor.count_retry(RetryEnd.LIMIT)
            return None
        visitor.count_retry(RetryEnd.MADE)
        self._upstreams.go_elsewhere()
        self._retries_made += 1
        return pause_seconds(self._retries_made - 1, visitor.inbound.world.chance)

    def go_on(self, target: IngressTarget, endpoint: Endpoint, ready: Upstream | None) -> None:
        """From where a plan has come."""
        self._upstreams.go_on(target, endpoint, ready)

    def at_once(self) -> Upstream | None:
        return self._upstreams.at_once(self._found.up, self._affinity.key)

    async def connect(self, *, afresh: bool) -> Upstream | Place:
        return await self._upstreams.connect(self._found.up, self._affinity.key, afresh=afresh)

    def release(self, upstream: Upstream, *, reusable: bool) -> None:
        self._upstreams.release(upstream, reusable=reusable)

    async def relay(self, client: Wire, upstream: Upstream) -> End:
        return await self._upstreams.relay(client, upstream)


def believed(asked: Request) -> Request:
    """Without what a client outside says of hops before us."""
    headers = tuple(header for header in asked.headers if header[0] not in _NOT_BELIEVED)
    return msgspec.structs.replace(asked, headers=headers)


def kept(request: RequestHead) -> RequestHead:
    """The same of the head."""
    kept = {n: v for n, v in request.forwarded.items() if n.decode() not in _NOT_BELIEVED}
    return msgspec.structs.replace(request, forwarded=kept)


def sent_on(request: RequestHead, arriving: Request, found: IngressWay) -> RequestHead:
    """The request's head with the path and the fields that are to arrive."""
    if not found.way.request_headers:
        kept = {n: v for n, v in request.forwarded.items() if n.decode() not in _NOT_BELIEVED}
        return msgspec.structs.replace(request, path=arriving.path, forwarded=kept)
    fields, forwarded = [], dict[bytes, bytes]()
    for name, value in _bytes(arriving.headers):
        if name in FORWARDED:
            forwarded[name] = b",".join((forwarded[name], value)) if name in forwarded else value
        else:
            fields.append((name, value))
    return msgspec.structs.replace(
        request, path=arriving.path, fields=tuple(fields), forwarded=forwarded
    )


def _text(fields: Fields) -> Headers:
    return tuple((n.lower().decode("latin-1"), v.decode("latin-1")) for n, v in fields)


def _bytes(headers: Headers) -> Fields:
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers)
