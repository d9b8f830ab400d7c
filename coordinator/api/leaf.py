"""A leaf together with its key, as Consul's agent gives it: `/v1/agent/connect/ca/leaf/:service`.

Belongs here: the one endpoint that returns a private key. Never here: making it
(`coordinator.ca.agent_leaves`).
Whoever can keep the key to itself sends a CSR instead (`ca`); `lockgate connect leaf` does.
"""

from typing import Any

import trio

from cluster.identity import ServiceId
from cluster.names import WILDCARD
from coordinator.acl.rights import service_write
from coordinator.ca.admission import SigningQueueFull
from coordinator.ca.agent_leaves import AgentLeaf
from coordinator.ca.csr import CsrRefused

from .answers import ApiError, json_answer, refuse
from .blocking import until_gone
from .ca import leaf_document
from .endpoint import Call, Do, at
from .names import service_name
from .parameters import block_index, block_seconds


async def _leaf(call: Call) -> Any:
    uri = _uri(call)
    index = block_index(call.request.query_params)
    seconds = block_seconds(call.request.query_params)
    try:
        leaf = await _get(call, uri, index, seconds)
    except CsrRefused as error:
        raise refuse(400, error.problems) from None
    except SigningQueueFull as error:
        raise ApiError(429, str(error)) from None
    headers = {"X-Consul-Index": str(leaf.index), "Cache-Control": "no-store"}
    return json_answer(_document(leaf), pretty=call.flag("pretty"), headers=headers)


async def _get(call: Call, uri: str, index: int, seconds: float) -> AgentLeaf:
    leaves = call.services.leaves
    if index == 0:
        return await leaves.get(uri)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(until_gone, call.request, nursery.cancel_scope)
        leaf = await leaves.after(uri, index, timeout_seconds=seconds)
        nursery.cancel_scope.cancel()
        return leaf
    raise ApiError(400, "the client went away")


def _uri(call: Call) -> str:
    service = service_name(call.path("service"), "service")
    if service.name == WILDCARD:
        raise ApiError(400, "a wildcard is no service")
    identity = ServiceId(
        trust_domain=call.services.authority.trust_domain,
        service=service.name,
        datacenter=call.services.datacenter,
    )
    return identity.uri


def _document(leaf: AgentLeaf) -> dict[str, Any]:
    indexes = {"CreateIndex": leaf.index, "ModifyIndex": leaf.index}
    return leaf_document(leaf.signed) | {"PrivateKeyPEM": leaf.key_pem.decode("ascii")} | indexes


ROUTES = (
    at(
        "/v1/agent/connect/ca/leaf/{service}",
        GET=Do(
            answer=_leaf,
            needs=lambda call: service_write(call.path("service")),
            audited=True,
            waits=True,
        ),
    ),
)
