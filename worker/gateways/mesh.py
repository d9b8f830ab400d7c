"""The mesh gateway: find the way by the SNI, never look inside.

Belongs here: the sentence below. Never here: keys, decryption or intentions, which are the destination's.
"""

from cluster.reasons import End
from worker.gateways import steps
from worker.gateways.inbound import Inbound
from worker.net.leg import PlainLeg
from worker.view.view import MeshView


async def serve(inbound: Inbound, view: MeshView) -> End:
    """Carry one connection, its ClientHello first, to an instance of the service that the SNI names."""
    hello = await steps.hello(inbound)
    target = view.table.find(hello.server_name)
    if target is None:
        raise await steps.no_route(inbound, hello.server_name)
    inbound.entry.routed(target.service, hello.server_name, target.meters)
    upstream, _ = await steps.dial(inbound, target.endpoints, target.connect_timeout_seconds)
    return await steps.relay(inbound, PlainLeg(inbound.sock), PlainLeg(upstream))
