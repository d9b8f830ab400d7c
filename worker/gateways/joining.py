"""The last step into the mesh, on a connection to an instance: whoever answers has to be the service.

Belongs here: mutual TLS with the gateway's own leaf. Never here: choosing or dialling an instance, or asking
whether that is permitted: the permit says so where nobody else would ask.
"""

import socket

from cluster.authorize import Permit
from cluster.routes import Endpoint
from worker.gateways.inbound import Inbound
from worker.net.leg import Leg, PlainLeg
from worker.tls.handshake import connect
from worker.tls.names_match import with_uri
from worker.view.view import IngressRoute, IngressTarget


async def join(
    inbound: Inbound,
    route: IngressRoute,
    target: IngressTarget,
    sock: socket.socket,
    endpoint: Endpoint,
    permit: Permit | None,
) -> Leg:
    """Mutual TLS, but for an instance that is dialled in plain; for those the permit is the proof.

    The caller owns the socket. Raises `UpstreamFault` (upstream_tls).
    """
    if endpoint in target.plaintext:
        assert permit is not None
        assert permit.destination == target.service
        return PlainLeg(sock)
    return await connect(
        sock,
        route.context,
        server_name=target.server_name,
        timeout_seconds=inbound.world.settings.limits.handshake_timeout_seconds,
        check_peer=with_uri(target.expected_uri),
    )
