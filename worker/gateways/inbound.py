"""What a gateway is handed: the accepted connection, and the worker around it.

Belongs here: the two values every gateway kind takes. Never here: behaviour of one kind.
"""

import random
import socket
from collections.abc import Callable
from dataclasses import dataclass

from worker.current import Current
from worker.dial import Dialer
from worker.live import Entry, Live
from worker.relay.engine import RelayEngine, RelayLimits
from worker.settings import WorkerSettings
from worker.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The worker, as a connection sees it; made once at start."""

    settings: WorkerSettings
    current: Current
    live: Live
    engine: RelayEngine
    dialer: Dialer
    metrics: Metrics
    chance: random.Random
    clock: Callable[[], float]
    wall_clock: Callable[[], float]

    @property
    def relay_limits(self) -> RelayLimits:
        limits = self.settings.limits
        return RelayLimits(
            idle_timeout_seconds=limits.idle_timeout_seconds,
            max_age_seconds=limits.max_age_seconds,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbound:
    """One accepted connection: its socket and its entry in the register."""

    sock: socket.socket
    entry: Entry
    world: World
