"""`lockgate dev`: from files to a cluster that serves, and back to nothing.

Belongs here: the order of things. Never here: any one of them.
"""

import json
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import trio

from cluster.errors import ConfigError
from cluster.process.logs import configure
from coordinator.dev.places import (
    DRAIN_GRACE_SECONDS,
    FreePorts,
    Places,
    prepare,
    private_directory,
)
from coordinator.dev.processes import Daemon, Tether
from coordinator.dev.ready import (
    Gateway,
    allow_node,
    gateways_of,
    wait_for_coordinator,
    wait_for_node,
    write,
)
from coordinator.dev.show import describe, tell
from coordinator.dev.wanted import Request, requests
from coordinator.entries.load import load_files

STOP_SECONDS = DRAIN_GRACE_SECONDS + 4.0


async def dev(
    files: tuple[Path, ...], *, workers: int | None, state: Path | None, output: str
) -> None:
    """Run until SIGINT or SIGTERM; leaves nothing behind but `state`.

    Raises `ConfigError` for the files, `CouldNotBoot`, `Refused` and OSError.
    """
    configure("info", "console", process="dev")
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        loaded = load_files(files)
        if loaded.problems:
            raise ConfigError(loaded.problems)
        for warning in loaded.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        with closing(FreePorts(random.Random())) as ports, private_directory() as root:
            places = prepare(root, workers, state, ports)
            wanted = requests(loaded.items, places.node_name, ports.take)
            await _run(places, wanted, output, signals)


async def _run(
    places: Places, writes: tuple[Request, ...], output: str, signals: AsyncIterator[int]
) -> None:
    tether = Tether()
    coordinator = Daemon(
        "coordinator", "coordinator", ["--config", str(places.coordinator_file)], tether
    )
    node = Daemon("node", "worker.node", ["--config", str(places.node_file)], tether)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_end_at_signal, signals, nursery.cancel_scope)
            served, gateways = await _start(places, writes, coordinator, node, nursery)
            pids = {"coordinator": coordinator.pid, "node": node.pid}
            shown = describe(places, gateways, served, pids)
            if output == "json":
                print(json.dumps(shown), flush=True)
            else:
                tell(shown, writes)
    finally:
        with trio.CancelScope(shield=True):
            await node.stop(STOP_SECONDS)
            await coordinator.stop(STOP_SECONDS)
        tether.cut()


async def _start(
    places: Places,
    writes: tuple[Request, ...],
    coordinator: Daemon,
    node: Daemon,
    nursery: trio.Nursery,
) -> tuple[dict[str, Any], list[Gateway]]:
    transport = httpx.AsyncHTTPTransport(uds=str(places.admin_socket))
    async with httpx.AsyncClient(
        transport=transport, base_url="http://coordinator", timeout=30.0
    ) as client:
        await coordinator.start()
        nursery.start_soon(coordinator.keep)
        await wait_for_coordinator(client)
        await allow_node(client, places.node_name, places.node_key)
        await write(client, writes)
        await node.start()
        nursery.start_soon(node.keep)
        served = await wait_for_node(client, places.node_name)
        return served, await gateways_of(client, places.node_name)


async def _end_at_signal(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()
        return
