"""A whole sidecar in this process, its inbound side before a real program."""

import os
import signal
from contextlib import asynccontextmanager

import trio

from tests.fakes.rig import eventually
from tests.harness.programs import free_port
from worker.sidecar.api import open_api
from worker.sidecar.app import Sidecar
from worker.sidecar.config import parse_arguments


@asynccontextmanager
async def sidecar(consul, *arguments):
    """A sidecar of web that runs until the block ends, then leaves as it should."""
    config = parse_arguments(["-service", "web", "-http-addr", consul.address, *arguments])
    async with open_api(config.api, "") as api, trio.open_nursery() as nursery:
        made = Sidecar(config, api)
        nursery.start_soon(made.run)
        yield made  # what is raised here cancels it, and then nobody would take the signal
        await trio.testing.wait_all_tasks_blocked()
        os.kill(os.getpid(), signal.SIGTERM)


@asynccontextmanager
async def inbound(consul, endpoint, *rules, ready=True):
    """A sidecar before a local program, its inbound side `ready`, and its port in the mesh."""
    port = free_port()
    consul.intentions("web", *rules)
    places = ["-service-addr", str(endpoint), "-listen", f"127.0.0.1:{port}"]
    async with sidecar(consul, *places) as made:
        await eventually(lambda: made.world.current.view.gateways or not ready)
        yield made, port


def ended(made, end, service):
    """How many connections ended this way."""
    labels = {"gateway": "web", "kind": "sidecar", "service": service, "end": end}
    name = "lockgate_connections_closed_total"
    return made.metrics.registry.get_sample_value(name, labels) or 0
