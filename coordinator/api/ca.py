"""The CA: its roots, its configuration, and signing.

Belongs here: the endpoints. Never here: what a certificate looks like, or what a rotation is
(`coordinator.ca`). Only a CSR comes in, or the key of an external root: no endpoint here makes or returns a
private key; the one that does is `leaf`.
"""

import datetime
from typing import Any

from starlette.responses import Response

from cluster.errors import ConfigError
from cluster.identity import AgentId, MeshGatewayId, ServiceId, parse
from coordinator.acl.rights import (
    Right,
    mesh_write,
    node_write,
    operator_read,
    operator_write,
    service_write,
    service_write_any,
)
from coordinator.ca.admission import SigningQueueFull
from coordinator.ca.csr import CsrRefused, LeafIdentity
from coordinator.ca.rotation import RotationRefused, UnknownRoot
from coordinator.ca.sign import SignedLeaf
from coordinator.store.tables import CA

from .answers import ApiError, refuse
from .body import Fields, read_object
from .endpoint import Call, Do, Read, at
from .needs import anyone, in_answer

PEM_CHAIN = "application/pem-certificate-chain"


def _roots(call: Call) -> Any:
    roots = call.services.authority.roots()
    if not call.flag("pem"):
        return roots
    chain = "".join(_with_newline(root["RootCert"]) for root in roots["Roots"])
    return Response(chain, media_type=PEM_CHAIN)


def _with_newline(pem: str) -> str:
    return pem if pem.endswith("\n") else pem + "\n"


def _configuration(call: Call) -> dict[str, Any]:
    record = call.state.get(CA, "config")
    indexes = {"CreateIndex": 0, "ModifyIndex": 0}
    if record is not None:
        indexes = {"CreateIndex": record.create_index, "ModifyIndex": record.modify_index}
    return call.services.authority.config_document() | indexes


async def _configure(call: Call) -> None:
    """As Consul does, what cannot be had is a 500 with the reasons."""
    body = Fields(await read_object(call.request))
    if (provider := body.text("Provider") or "consul") != "consul":
        raise ApiError(500, f"unknown CA provider {provider[:40]!r}: only 'consul' is built in")
    config = body.anything("Config")
    if not isinstance(config, dict):
        raise ApiError(400, "Request decode failed: Config must be an object")
    force = body.anything("ForceWithoutCrossSigning") is True
    try:
        await call.services.authority.configure(config, force=force)
    except ConfigError as error:
        raise refuse(500, error.problems) from None


async def _rotate(call: Call) -> dict[str, Any]:
    body = Fields(await read_object(call.request))
    force = body.anything("ForceWithoutCrossSigning") is True
    await call.services.authority.rotate(force=force)
    return call.services.authority.roots()


async def _distrust(call: Call) -> dict[str, Any]:
    root = Fields(await read_object(call.request)).text("RootID")
    if not root:
        raise ApiError(400, "RootID is required: the id of the root that is to be trusted no more")
    try:
        gone = await call.services.authority.distrust(root)
    except UnknownRoot as error:
        raise ApiError(404, str(error)) from None
    except RotationRefused as error:
        raise ApiError(400, str(error)) from None
    return {"Distrusted": list(gone)} | call.services.authority.roots()


async def _sign(call: Call) -> dict[str, Any]:
    body = Fields(await read_object(call.request))
    csr = body.text("CSR")
    if not csr:
        raise ApiError(400, "CSR is required: a certificate signing request in PEM")
    newcomer = body.anything("Renewal") is not True
    try:
        asked = call.services.authority.read(csr.encode())
        call.require(identity_right(asked.identity))
        leaf = await call.services.authority.issue(asked, newcomer=newcomer)
        call.again().require(identity_right(asked.identity))  # the queue may have been long
    except CsrRefused as error:
        call.require(service_write_any())  # what is wrong with a request is no stranger's business
        raise refuse(400, error.problems) from None
    except SigningQueueFull as error:
        raise ApiError(429, str(error)) from None
    return leaf_document(leaf)


def identity_right(identity: LeafIdentity) -> Right:
    """What it takes to bear this identity."""
    match identity:
        case ServiceId():
            return service_write(identity.service)
        case MeshGatewayId():
            return mesh_write
        case AgentId():
            return node_write(identity.node)
        case _:
            return operator_write


def leaf_document(leaf: SignedLeaf) -> dict[str, Any]:
    """A leaf in the spelling of Consul's leaf endpoint, without a key."""
    identity = parse(leaf.uri)
    return {
        "SerialNumber": _colon_hex(leaf.serial),
        "CertPEM": leaf.chain_pem.decode("ascii"),
        "Service": identity.service if isinstance(identity, ServiceId) else "",
        "ServiceURI": leaf.uri,
        "ValidAfter": _rfc3339(leaf.not_before),
        "ValidBefore": _rfc3339(leaf.not_after),
    }


def _colon_hex(number: int) -> str:
    """As Consul writes serial numbers: `1f`, `01:f4`."""
    raw = number.to_bytes(max(1, (number.bit_length() + 7) // 8))
    return ":".join(f"{byte:02x}" for byte in raw)


def _rfc3339(seconds: float) -> str:
    at_time = datetime.datetime.fromtimestamp(int(seconds), datetime.UTC)
    return at_time.isoformat().replace("+00:00", "Z")


_ROOTS = Read(answer=_roots, needs=anyone, tables=(CA,))

ROUTES = (
    at("/v1/connect/ca/roots", GET=_ROOTS),
    at("/v1/agent/connect/ca/roots", GET=_ROOTS),
    at(
        "/v1/connect/ca/configuration",
        GET=Read(answer=_configuration, needs=operator_read),
        PUT=Do(answer=_configure, needs=operator_write),
    ),
    at("/v1/lockgate/ca/rotate", POST=Do(answer=_rotate, needs=operator_write)),
    at("/v1/lockgate/ca/distrust", POST=Do(answer=_distrust, needs=operator_write)),
    at("/v1/lockgate/connect/sign", POST=Do(answer=_sign, needs=in_answer)),
)
