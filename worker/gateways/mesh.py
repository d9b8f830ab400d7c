"""The mesh gateway: find the way by the SNI, never look inside.

Belongs here: the sentence above. Never here: keys, decryption or intentions, which are the destination's.
"""

from functools import partial

from cluster.reasons import End
from worker.entry import Entry
from worker.gateways import express, steps
from worker.gateways.inbound import Inbound
from worker.net.leg import PlainLeg
from worker.relay.porter import Born, Lead
from worker.view.view import MeshTarget, MeshView


async def serve(inbound: Inbound, view: MeshView) -> End:
    """Carry one connection, its ClientHello first, to an instance of the service that the SNI names."""
    hello = await steps.hello(inbound)
    target = view.table.find(hello.server_name)
    if target is None:
        raise await steps.no_route(inbound, hello.server_name)
    inbound.entry.routed(target.service, hello.server_name, target.meters)
    return await _go_on(inbound, target)


async def _go_on(inbound: Inbound, target: MeshTarget) -> End:
    world = inbound.world
    started = world.clock()
    upstream, _ = await steps.dial(inbound, target.endpoints, target.connect_timeout_seconds)
    world.metrics.upstream_connect_seconds.observe(world.clock() - started)
    return await steps.relay(inbound, PlainLeg(inbound.sock), PlainLeg(upstream))


def serve_at_once(inbound: Inbound, server_name: str, hello_bytes: int, view: MeshView) -> bool:
    """The same without a task; False if it takes one, and then nothing has happened."""
    target = view.table.find(server_name)
    way = express.way(inbound, target) if target else None
    if target is None or way is None:
        return False
    inbound.entry.routed(target.service, server_name, target.meters)
    steps.count_hello(inbound, 0.0, hello_bytes)
    express.launch(inbound, None, target, way, partial(_go_on, target=target))
    return True


def led(entry: Entry, lead: Lead, drawn: int) -> None:
    """The engine has done the same by itself: found the way, and gone it."""
    target: MeshTarget = lead.target
    endpoint = target.ways.shares[drawn].endpoint
    entry.led(target.service, lead.server_name, endpoint, target.meters)


def take_in(inbound: Inbound, born: Born, lead: Lead) -> None:
    """It is on that way, and ours from now on."""
    led(inbound.entry, lead, born.drawn)
    express.follow(inbound, born, partial(_go_on, target=lead.target))
