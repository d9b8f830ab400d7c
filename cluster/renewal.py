"""When a leaf is renewed.  ●

Belongs here: the times, given chance. Never here: asking for a certificate.

Source: Consul, leaf certificate renewal of its agents: uniform between 60 % and 90 % of the lifetime.
"""

import random

EARLIEST, LATEST = 0.6, 0.9
#: A leaf that lives shorter than this is renewed as soon as it may.
SHORT_LIFE_SECONDS = 600.0
ROOT_CHANGE_SPREAD_SECONDS = 30.0
RETRY_SPREAD_SECONDS = 30.0


def renew_at(not_before: float, not_after: float, now: float, chance: random.Random) -> float:
    """When to renew (unix seconds): at random between 60 % and 90 % of the life, now if that is past.

    A life under ten minutes has its renewal at 60 %, so that a short-lived test does not spin.
    """
    life = not_after - not_before
    share = EARLIEST if life < SHORT_LIFE_SECONDS else chance.uniform(EARLIEST, LATEST)
    return max(now, not_before + life * share)


def after_root_change(now: float, chance: random.Random) -> float:
    """When to ask for a leaf of the new root: spread, so that not everybody asks at once."""
    return now + chance.uniform(0, ROOT_CHANGE_SPREAD_SECONDS)


def retry_at(now: float, chance: random.Random) -> float:
    """When to ask again after a failed renewal: at a random point of the next 30 s, not exponential."""
    return now + chance.uniform(1, RETRY_SPREAD_SECONDS)
