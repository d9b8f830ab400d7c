"""What is due for all live connections once a second.

Belongs here: the round. Never here: why a connection ends otherwise (`worker.control`, the relay engine).
"""

import trio

from cluster.reasons import End, RevocationCause
from worker.gateways.inbound import World
from worker.live import expired

SWEEP_SECONDS = 1.0


async def sweep(world: World) -> None:
    """For ever: bytes of living connections into the metrics, and callers with an expired certificate out."""
    while True:
        await trio.sleep(SWEEP_SECONDS)
        if world.launcher is not None:
            world.metrics.count_launched(*world.launcher.times())
        for entry in world.live:
            entry.count_bytes()
        for entry in expired(world.live, world.wall_clock()):
            if entry.end(End.CERTIFICATE_EXPIRED):
                world.metrics.revoked[RevocationCause.EXPIRY].inc()
