"""When a leaf is to be asked for.  ●

Belongs here: the moment, from what is held and what is trusted. Never here: asking (`ring`).
"""

import random
from collections.abc import Callable

from cluster.certs import Leaf, Root, TrustBundle
from cluster.renewal import ROOT_CHANGE_SPREAD_SECONDS, after_root_change, renew_at

_FIRST_RETRY_SECONDS = 0.25
_LONGEST_RETRY_SECONDS = 30.0
#: A signer dates leaves back, so one of a very short life may be due for renewal on arrival: it is still
#: kept for this share of what is left of it.
_LEAST_SHARE_OF_REST = 0.3


def due_at(
    leaf: Leaf | None,
    bundle: TrustBundle,
    *,
    now: float,
    chance: random.Random,
    leads_to: Callable[[Leaf, Root], bool],
    received_at: float | None = None,
) -> float:
    """When to ask for a new leaf, unix seconds.

    At once without one; soon and spread after a change of the active root; else at 60 to 90 % of its life.
    `received_at` is when it came, if in this process' time.
    """
    if leaf is None or leaf.not_after <= now:
        return now
    roots = [root for root in bundle.roots if leads_to(leaf, root)]
    if not roots:  # of a past we no longer trust, or of a root that we are about to hear of
        return now if received_at is None else max(now, received_at + ROOT_CHANGE_SPREAD_SECONDS)
    if not any(root.active for root in roots):
        return after_root_change(now, chance)
    renewal = renew_at(leaf.not_before, leaf.not_after, now, chance)
    if received_at is None:
        return renewal
    return max(renewal, received_at + _LEAST_SHARE_OF_REST * (leaf.not_after - received_at))


def first_retry_seconds(failures: int, chance: random.Random) -> float:
    """How long to wait for a first leaf after so many refusals: it serves nothing meanwhile."""
    longest = min(_FIRST_RETRY_SECONDS * 2.0 ** min(failures, 16), _LONGEST_RETRY_SECONDS)
    return longest * chance.uniform(0.5, 1.0)
