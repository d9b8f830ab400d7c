"""Asking a development cluster whether it serves yet.

Belongs here: waiting for an answer that says so. Never here: what to start or write.
"""

from collections.abc import Iterable
from typing import Any

import httpx
import msgspec
import trio

from cluster.errors import LockgateError
from coordinator.dev.wanted import GATEWAY_KINDS, INGRESS, Request

_POLL_SECONDS = 0.05


class Refused(LockgateError):
    """The coordinator did not take something that a file asks for."""


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway that the node serves."""

    gateway: str
    kind: str
    address: str


async def wait_for_coordinator(client: httpx.AsyncClient) -> None:
    """Until the admin socket answers."""
    while True:
        if (await _ask(client, "GET", "/v1/lockgate/status")).is_success:
            return
        await trio.sleep(_POLL_SECONDS)


async def allow_node(client: httpx.AsyncClient, name: str, public_key: str) -> None:
    """Put the node on the bus's list. Raises `Refused`."""
    await _put(client, f"/v1/lockgate/nodes/{name}", {"public_key": public_key}, f"node {name}")


async def write(client: httpx.AsyncClient, requests: Iterable[Request]) -> None:
    """Make the writes in order. Raises `Refused` at the first that is not taken."""
    for request in requests:
        await _put(client, request.path, request.body, request.what)


async def _put(client: httpx.AsyncClient, path: str, body: dict[str, Any], what: str) -> None:
    response = await _ask(client, "PUT", path, body)
    if not response.is_success:
        raise Refused(f"{what}: {response.text.strip()}")


async def _ask(
    client: httpx.AsyncClient, method: str, path: str, body: Any = None
) -> httpx.Response:
    """The answer, asked for again while there is no coordinator: one that dies is started anew."""
    while True:
        try:
            return await client.request(method, path, json=body)
        except httpx.TransportError:
            await trio.sleep(_POLL_SECONDS)


async def wait_for_node(client: httpx.AsyncClient, node: str) -> dict[str, Any]:
    """Until every worker of the node serves the newest snapshot whole; the node's status.

    Raises `Refused` when no snapshot can be made of what was written, or the node cannot serve it.
    """
    while True:
        status = (await _ask(client, "GET", "/v1/lockgate/status")).json()
        own = [found for found in status["nodes"] if found["name"] == node]
        if problems := [*status["problems"], *(p for found in own for p in found["problems"])]:
            raise Refused("; ".join(problems))
        for found in own:
            if _serves(found, status["generation"]):
                return dict(found)
        await trio.sleep(_POLL_SECONDS)


async def gateways_of(client: httpx.AsyncClient, node: str) -> list[Gateway]:
    """What listens on the node, as the catalog and the entries of ingress gateways have it."""
    found = (await _ask(client, "GET", f"/v1/catalog/node-services/{node}")).json() or {}
    return [
        Gateway(gateway=service["Service"], kind=service["Kind"], address=f"{address}:{port}")
        for service in found.get("Services") or ()
        if service.get("Kind") in GATEWAY_KINDS
        for address in [service.get("Address") or found["Node"]["Address"]]
        for port in await _ports(client, service)
    ]


async def _ports(client: httpx.AsyncClient, service: dict[str, Any]) -> list[int]:
    if service["Kind"] != INGRESS:
        return [service["Port"]]
    answer = await _ask(client, "GET", f"/v1/config/{INGRESS}/{service['Service']}")
    listeners = answer.json().get("Listeners") or () if answer.is_success else ()
    return [listener["Port"] for listener in listeners]


def _serves(node: dict[str, Any], generation: int) -> bool:
    workers = node["workers"]
    return (
        node["state"] == "current"
        and node["generation"] == generation
        and bool(workers)
        and all(worker["generation"] == generation for worker in workers)
        and not any(worker.get("missing_leaves") for worker in workers)
    )
