"""The sidecar's way into the mesh: a plain connection in, mutual TLS to the destination out.

Belongs here: carrying one connection of the local program. Never here: where endpoints come from.
The server must prove to be the destination service: its certificate holds exactly that SPIFFE URI.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cluster.errors import Refused
from cluster.reasons import End
from worker.gateways import steps
from worker.gateways.inbound import Inbound
from worker.net.leg import PlainLeg
from worker.sidecar.known import OutboundTarget
from worker.tls.handshake import connect
from worker.tls.leg import TlsLeg
from worker.tls.names_match import with_uri


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How to reach one upstream at this moment: asked for each connection."""

    target: OutboundTarget
    context: Any


async def serve(inbound: Inbound, way: Callable[[], Way | None]) -> End:
    """Carry one connection of the program to an instance of the upstream."""
    found = way()
    if found is None:
        raise Refused(End.NO_ENDPOINT, "the coordinator has not answered yet")
    target = found.target
    inbound.entry.routed(target.service, target.server_name, target.meters)
    sock, _ = await steps.dial(inbound, target.endpoints, target.connect_timeout_seconds)
    try:
        upstream = await _join(inbound, sock, found)
        steps.rely(inbound, upstream)
    except BaseException:
        sock.close()
        raise
    return await steps.relay(inbound, PlainLeg(inbound.sock), upstream)


async def _join(inbound: Inbound, sock: socket.socket, way: Way) -> TlsLeg:
    """The TLS leg into the mesh. Raises `UpstreamFault` when somebody else answers."""
    inbound.entry.state = "handshake"
    return await connect(
        sock,
        way.context,
        server_name=way.target.server_name,
        timeout_seconds=inbound.world.settings.limits.handshake_timeout_seconds,
        check_peer=with_uri(way.target.expected_uri),
    )
