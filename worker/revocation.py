"""Ending live connections whose permission is gone, and permissions that were boxed in time.

Belongs here: doing it, and counting why. Never here: whom it concerns (`worker.live`), or what an intention
means.
"""

from cluster.reasons import End, RevocationCause
from worker.entry import Entry
from worker.gateways.inbound import World
from worker.live import distrusted, revoked

#: The coordinator's clock may be so much ahead of ours when it withdraws what is expired.
_AHEAD_SECONDS = 5.0


def revoke(world: World) -> None:
    """End every connection that the present view would not let in."""
    for entry in distrusted(world.live, world.current.view.roots):
        if entry.end(End.ROOT_DISTRUSTED):
            world.live.revocations += 1
            world.metrics.revoked[RevocationCause.CERTIFICATE].inc()
    now = world.wall_clock()
    for entry in revoked(world.live, world.current.view.policy_of):
        if entry.end(End.INTENTION_REVOKED):
            world.live.revocations += 1
            world.metrics.revoked[_cause(entry, now)].inc()


def lapse(world: World) -> None:
    """Take what is expired by now out of the view, and end what it had let in. Cheap if nothing is."""
    now = world.wall_clock()
    if world.current.view.next_expiry <= now:
        world.current.swap(world.current.view.at(now))
        revoke(world)


def _cause(entry: Entry, now: float) -> RevocationCause:
    rule = entry.permit.decision.rule if entry.permit else None
    if rule is not None and rule.has_expired(now + _AHEAD_SECONDS):
        return RevocationCause.EXPIRY
    return RevocationCause.INTENTION
