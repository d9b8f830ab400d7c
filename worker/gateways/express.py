"""The common case without a task: what is known at once goes straight to the relay engine.

A connection is common if its hello came with it (`worker.arrival`), its endpoint is an address, and the
engine can connect by itself. Whatever is not common is declined *before anything was changed*, and then
a task does it all from the beginning; so each gateway kind is complete as a coroutine, and this is only
faster.

Belongs here: handing over, and what comes back. Never here: an order of steps, which is
what a gateway kind is.
"""

import os
from typing import Protocol

from cluster.reasons import End
from cluster.routes import Endpoint
from worker.gateways.inbound import FailedDial, Inbound, Serve
from worker.live import LAUNCHED
from worker.relay.engine import Launch
from worker.tls.leg import TlsLeg
from worker.view.ways import Ways


class Target(Protocol):
    """What it takes to dial for any gateway kind."""

    @property
    def ways(self) -> Ways: ...

    @property
    def connect_timeout_seconds(self) -> float: ...


def launch(inbound: Inbound, client: TlsLeg | None, target: Target, go_on: Serve) -> bool:
    """Have the engine connect, relay and close; False if a task has to, and then nothing has changed.

    `client` is the caller's TLS leg, None where its bytes are passed on as they are. `go_on` is for a
    task that tries the other endpoints, should this one fail.
    """
    world, entry = inbound.world, inbound.entry
    way = target.ways.first(world.chance)
    if way is None or world.launcher is None:
        return False
    entry.endpoint, address = way
    entry.state = LAUNCHED
    world.launcher.launch(
        inbound.descriptor,
        client.ssl_address() if client else 0,
        address,
        dial_seconds=target.connect_timeout_seconds,
        elapsed_seconds=world.clock() - entry.started,
        flow=entry.flow,
        limits=world.relay_limits,
        on_over=Launched(inbound, entry.endpoint, client, go_on),
        keep=client,
    )
    inbound.give_away()
    return True


class Launched:
    """A connection that the engine carries; called by it once that is over."""

    __slots__ = ("_client", "_endpoint", "_go_on", "_inbound")

    def __init__(
        self,
        inbound: Inbound,
        endpoint: Endpoint,
        client: TlsLeg | None,
        go_on: Serve,
    ) -> None:
        self._inbound = inbound
        self._endpoint = endpoint
        self._client = client
        self._go_on = go_on

    def __call__(self, launch: Launch) -> None:
        inbound = self._inbound
        flow = inbound.entry.flow
        flow.detach()
        if launch.dial_error:
            self._try_others(launch.dial_error)
        else:
            inbound.frame.settle(inbound, launch.end or flow.killed or End.DRAINED)

    def _try_others(self, number: int) -> None:
        inbound = self._inbound
        inbound.take_back()
        if self._client is not None:
            self._client.sock = inbound.sock
        inbound.entry.state = "dial"
        inbound.failed = FailedDial(
            endpoint=self._endpoint, error=OSError(number, os.strerror(number))
        )
        inbound.frame.resume(inbound, self._go_on)
