"""What every way of choosing an endpoint answers to.

Belongs here: the question. Never here: an answer, dialling, or keeping score of failures.
"""

import random
from collections.abc import Callable, Container
from typing import Protocol, TypeAlias

from cluster.routes import Endpoint

NOBODY: Container[Endpoint] = frozenset()
#: How many requests an endpoint has under way, as far as this worker knows.
Active: TypeAlias = Callable[[Endpoint], int]


class Picker(Protocol):
    """Made of the endpoints of one target, once for each change of them; unhealthy ones are never picked."""

    def pick(
        self,
        chance: random.Random,
        *,
        key: int | None = None,
        without: Container[Endpoint] = NOBODY,
    ) -> Endpoint | None:
        """One endpoint; None if there is none. `key` is what the request is hashed to, `without` are those
        that were ejected or have been tried."""
