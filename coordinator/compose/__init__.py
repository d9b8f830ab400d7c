"""Wanted state in, snapshot out: pure, and the only way a snapshot is made.

Belongs here: which instances, links, listeners, routes and intentions the records amount to. Never here:
reading or writing the store, ids and generations (`coordinator.distributor`), or checking that one entry is
well formed (`coordinator.entries`).
"""

from .compose import Composed, Composer, compose

__all__ = ["Composed", "Composer", "compose"]
