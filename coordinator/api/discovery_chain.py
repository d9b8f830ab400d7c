"""The discovery chain of a service: `/v1/discovery-chain/:service`.

Belongs here: reading what is asked for, and asking the compiler. Never here: a rule of chains
(`cluster.chain`).
Source: Consul, "Discovery Chain" HTTP API.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from starlette.responses import Response

from cluster.chain import ChainError, Overrides, Request, compile_chain
from cluster.chain.render import rendered
from cluster.durations import parse_duration, within_limit
from coordinator.acl.rights import Right, service_read
from coordinator.compose.chains import stored_entries
from coordinator.store.tables import ENTRIES

from .answers import ApiError
from .body import Fields, read_object
from .endpoint import Call, Do, Read, at
from .needs import in_answer

_MODES = ("", "none", "local", "remote")


def _needs(call: Call) -> Right:
    return service_read(call.path("service"))


def _chain(call: Call, overrides: Overrides) -> dict[str, Any]:
    services = call.services
    request = Request(
        service=call.path("service"),
        datacenter=call.query("compile-dc") or services.datacenter,
        trust_domain=services.authority.trust_domain,
        entries=stored_entries(call.state),
        overrides=overrides,
    )
    try:
        return {"Chain": rendered(compile_chain(request))}
    except ChainError as error:
        raise ApiError(500, str(error)) from None


def _reading(overrides: Overrides) -> Read:
    return Read(answer=partial(_chain, overrides=overrides), needs=_needs, tables=(ENTRIES,))


async def _customized(call: Call) -> Response:
    call.require(_needs(call))
    return await _reading(_overrides(await read_object(call.request))).respond(call)


def _overrides(body: Mapping[str, Any]) -> Overrides:
    """What the body asks for. Raises ApiError (400)."""
    fields = Fields(body)
    gateway = fields.anything("OverrideMeshGateway") or {}
    mode = Fields(gateway).text("Mode") if isinstance(gateway, dict) else None
    if mode not in _MODES:
        wanted = ", ".join(one for one in _MODES if one)
        raise ApiError(400, f"Invalid OverrideMeshGateway.Mode parameter: must be one of {wanted}")
    return Overrides(
        protocol=fields.text("OverrideProtocol").lower(),
        mesh_gateway=mode,
        connect_timeout_seconds=_seconds(fields.anything("OverrideConnectTimeout")),
    )


def _seconds(value: Any) -> float:
    """A Go duration, or nanoseconds; nothing is 0. Raises ApiError (400)."""
    if value is None or value == "":
        return 0.0
    try:
        if isinstance(value, str):
            return parse_duration(value) / 1e9
        if isinstance(value, int) and not isinstance(value, bool):
            return within_limit(value) / 1e9
    except ValueError as error:
        raise ApiError(400, f"OverrideConnectTimeout: {error}") from None
    raise ApiError(400, f"OverrideConnectTimeout is no duration: {value!r:.40}")


ROUTES = (
    at(
        "/v1/discovery-chain/{service}",
        GET=_reading(Overrides()),
        POST=Do(answer=_customized, needs=in_answer, audited=False),
    ),
)
