"""What is due for all live connections once a second.

Belongs here: the round. Never here: why a connection ends otherwise (`worker.control`, the relay engine).
"""

import trio

from cluster.reasons import End, RevocationCause
from worker.gateways.inbound import World
from worker.live import expired
from worker.revocation import lapse

SWEEP_SECONDS = 1.0


async def sweep(world: World) -> None:
    """For ever: who is here into the register, and their bytes into the metrics; out with callers whose
    certificate is expired, and with those whose permission was boxed in time, at that moment.
    """
    while True:
        await _sleep(world)
        lapse(world)
        if world.launcher is not None:
            world.metrics.count_launched(*world.launcher.times())
        while world.live.take_in():
            await trio.lowlevel.checkpoint()
        world.pools.sweep()
        world.channels.sweep()
        for entry in world.live:
            entry.count_bytes()
        for entry in expired(world.live, world.wall_clock()):
            if entry.end(End.CERTIFICATE_EXPIRED):
                world.metrics.revoked[RevocationCause.EXPIRY].inc()


async def _sleep(world: World) -> None:
    """Until the next round, or until something ends if that is sooner."""
    left = world.current.view.next_expiry - world.wall_clock()
    await trio.sleep(max(min(left, SWEEP_SECONDS), 0.0))
