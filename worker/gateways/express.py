"""The common case without a task: what is known at once goes straight to the relay engine.

A connection is common if its hello came with it (`worker.arrival`), its endpoint is an address, and the
engine can connect by itself. Whatever is not common is declined *before anything was changed*, and then
a task does it all from the beginning; so each gateway kind is complete as a coroutine, and this is only
faster.

Belongs here: handing over, and what comes back. Never here: an order of steps, which is
what a gateway kind is.
"""

import os
from dataclasses import dataclass
from typing import Protocol

from cluster.reasons import End
from cluster.routes import Endpoint
from worker.entry import LAUNCHED
from worker.gateways.inbound import FailedDial, Inbound, Serve
from worker.relay.engine import Launch, Launcher
from worker.relay.porter import Born
from worker.tls.leg import TlsLeg
from worker.view.ways import Ways


class Target(Protocol):
    """What it takes to dial for any gateway kind."""

    @property
    def ways(self) -> Ways: ...

    @property
    def connect_timeout_seconds(self) -> float: ...


@dataclass(slots=True)
class Way:
    """An endpoint that can be dialled at once, and the engine that does it."""

    endpoint: Endpoint
    address: bytes
    launcher: Launcher


def way(inbound: Inbound, target: Target) -> Way | None:
    """Where to go without a task; None if it takes one."""
    world = inbound.world
    if world.launcher is None:
        return None
    found = target.ways.first(world.chance)
    return None if found is None else Way(*found, world.launcher)


def launch(inbound: Inbound, client: TlsLeg | None, target: Target, way: Way, go_on: Serve) -> None:
    """Have the engine connect, relay and close: the last that is done for a connection here.

    `client` is the caller's TLS leg, None where its bytes are passed on as they are. `go_on` is for a
    task that tries the other endpoints, should this one fail.
    """
    world, entry = inbound.world, inbound.entry
    entry.endpoint = way.endpoint
    entry.state = LAUNCHED
    way.launcher.launch(
        inbound.descriptor,
        client.ssl_address() if client else 0,
        way.address,
        dial_seconds=target.connect_timeout_seconds,
        elapsed_seconds=world.clock() - entry.started,
        flow=entry.flow,
        limits=world.relay_limits,
        on_over=Launched(inbound, way.endpoint, client, go_on),
        keep=client,
    )
    inbound.give_away()


def follow(inbound: Inbound, born: Born, go_on: Serve) -> None:
    """The same for a connection that the engine has accepted, and carries, by itself."""
    entry = inbound.entry
    entry.follow(born)
    assert entry.endpoint is not None
    born.on_over = Launched(inbound, entry.endpoint, None, go_on)


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
