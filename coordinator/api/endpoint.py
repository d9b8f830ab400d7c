"""What an endpoint is: a path, and per method either a `Read` of the wanted state or a `Do`.

Belongs here: from a request to an answer, in the same way for all endpoints. Never here: any one of them.

A `Read` is a plain function of one state of the wanted state, which makes it a blocking query for free: it is
called again when one of its tables has changed. A `Do` is whatever must await.

Both say in `needs` what right they ask of the caller: read `needs` before adding one.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from cluster.errors import LockgateError
from coordinator.acl.speaker import EVERYBODY
from coordinator.audit.entry import Entry
from coordinator.store.author import AUTHOR

from .answers import ApiError, error_answer, json_answer
from .auditing import entry_for, is_mutating, working_for
from .blocking import hold
from .call import Call
from .filtering import Filterable, asked_filter, filtered, refuse_filter
from .needs import Needs, check_asked, check_needs, shown, unstated
from .parameters import check_common
from .peers import caller
from .services import Services

__all__ = ["Call", "Do", "Endpoint", "Read", "at"]


_FILTERED = {"X-Consul-Results-Filtered-By-ACLs": "true"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """An answer from the wanted state. With `tables` it blocks when asked to, and tells its index.

    `prefix` narrows which keys of them wake it, `index` tells an index of its own. With `filterable` it
    honours `?filter=`.
    """

    answer: Callable[[Call], Any]
    needs: Needs = unstated
    tables: tuple[str, ...] = ()
    prefix: Callable[[Call], str] | None = None
    index: Callable[[Call], int] | None = None
    filterable: Filterable | Callable[[Call], Filterable] | None = None

    async def respond(self, call: Call) -> Response:
        check_needs(call, self.needs)
        rows = self._rows(call)
        wanted = asked_filter(call.query("filter"), rows)
        if self.tables:
            prefix = self.prefix(call) if self.prefix else ""
            await hold(call.services, call.request, self.tables, prefix, lambda: self._index(call))
            call = call.again()
            check_needs(call, self.needs)  # a token may end while its query waits
        headers = self._headers(call)
        try:
            value = shown(call, self.needs, self.answer(call))
            check_asked(call, self.needs)
            headers |= _FILTERED if call.asked.hidden else {}
            if rows is not None and wanted is not None:
                value = await filtered(value, rows, wanted)
            return _response(value, call.request, headers)
        except ApiError as error:
            return error_answer(error, headers)

    def _rows(self, call: Call) -> Filterable | None:
        return self.filterable(call) if callable(self.filterable) else self.filterable

    def _headers(self, call: Call) -> dict[str, str]:
        headers = {
            "X-Consul-KnownLeader": "true",
            "X-Consul-LastContact": "0",
            "X-Consul-Effective-Consistency": "leader",
        }
        if self.tables:
            headers["X-Consul-Index"] = str(max(self._index(call), 1))
        return headers

    def _index(self, call: Call) -> int:
        if self.index is not None:
            return self.index(call)
        return max(call.state.table_index(table) for table in self.tables)


@dataclass(frozen=True, slots=True, kw_only=True)
class Do:
    """An answer that takes more than a look: a write, or a question to somebody else.

    None is an empty body, as Consul's agent answers a write.
    """

    answer: Callable[[Call], Awaitable[Any]]
    needs: Needs = unstated
    audited: bool | None = (
        None  # a GET that makes something; a POST that only asks; else by the method
    )
    waits: bool = False  # long enough for rights to end meanwhile; `needs` is then asked for again

    async def respond(self, call: Call) -> Response:
        refuse_filter(call.query("filter"))
        check_needs(call, self.needs)
        answer = await self.answer(call)
        if self.waits:
            check_needs(call.again(), self.needs)
        value = shown(call, self.needs, answer)
        check_asked(call, self.needs)
        return Response() if value is None else _response(value, call.request)


class Endpoint:
    """The ASGI application of one path."""

    def __init__(self, methods: dict[str, Read | Do]) -> None:
        self.methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        entry = self._entry(request)
        status = 0
        try:
            response = await self._answer(request, entry)
            status = response.status_code
        finally:
            if entry is not None:
                with trio.CancelScope(shield=True):
                    await entry.end(status)
        response.headers["X-Consul-Default-ACL-Policy"] = request.app.state.services.access.default
        await response(scope, receive, send)

    def _entry(self, request: Request) -> Entry | None:
        """For the audit log, if this call is to be in it."""
        method = self.methods.get(request.method)
        if method is None:
            return None
        said = method.audited if isinstance(method, Do) else None
        wanted = is_mutating(request) if said is None else said
        return entry_for(request.app.state.services, request) if wanted else None

    async def _answer(self, request: Request, entry: Entry | None) -> Response:
        """The answer, an error's too."""
        try:
            return await self._respond(request, entry)
        except ApiError as error:
            return error_answer(error)
        except LockgateError as error:
            return error_answer(ApiError(500, str(error)))

    async def _respond(self, request: Request, entry: Entry | None) -> Response:
        method = self.methods.get(request.method)
        if method is None:
            allow = {"Allow": ",".join(sorted(self.methods))}
            raise ApiError(405, f"method {request.method} not allowed", allow)
        services: Services = request.app.state.services
        check_common(request.query_params, services.datacenter)
        call = Call.of(services, request)
        AUTHOR.set(call.speaker.name if call.speaker is not EVERYBODY else caller(request.scope))
        if entry is None:
            return await method.respond(call)
        entry.who = call.speaker.name
        await entry.lines.require_writable()
        with working_for(entry):
            return await method.respond(call)


def at(path: str, **methods: Read | Do) -> Route:
    """The route of one path: `at("/v1/config", PUT=Do(answer=put_entry))`."""
    return Route(path, Endpoint(methods))


def _response(value: Any, request: Request, headers: dict[str, str] | None = None) -> Response:
    if isinstance(value, Response):
        value.headers.update(headers or {})
        return value
    pretty = request.query_params.get("pretty", "false").lower() not in ("false", "0")
    return json_answer(value, pretty=pretty, headers=headers)
