"""gRPC through a listener of that protocol: `grpcio` on both sides, in processes of their own."""

import contextlib
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

from cluster.routes import Endpoint
from tests.fakes.rig import PATIENCE_SECONDS, deny
from tests.worker.gateways.test_ingress_requests import API, Site

_PROGRAMS = Path(__file__).parents[2] / "fakes"


@contextlib.asynccontextmanager
async def echo_server():
    command = [sys.executable, str(_PROGRAMS / "grpc_server.py")]
    async with trio.open_nursery() as nursery:
        start = partial(trio.run_process, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        process = await nursery.start(start)
        with trio.fail_after(PATIENCE_SECONDS):
            port = int(await process.stdout.receive_some())
        yield Endpoint(address="127.0.0.1", port=port)
        await process.stdin.aclose()
        await process.stdout.aclose()


@pytest.fixture
async def site(front, pki, tmp_path):
    made = Site(front, pki, tmp_path)
    front.protocol = "grpc"
    made.protocol = "grpc"
    async with echo_server() as endpoint:
        front.sets |= {"connect:api": (), "plaintext:api": (endpoint,)}
        made.plaintext["api"] = "plaintext:api"
        yield made


async def calls(front, *names):
    command = [
        sys.executable,
        str(_PROGRAMS / "grpc_client.py"),
        f"127.0.0.1:{front.port}",
        API,
        *names,
    ]
    with trio.fail_after(3 * PATIENCE_SECONDS):
        done = await trio.run_process(command, capture_stdout=True)
    return json.loads(done.stdout)


async def test_calls_of_all_kinds_are_carried(site, front):
    await front.serve(site.service("api", API))
    found = await calls(front, "unary", "large", "down", "up", "both", "fails")
    assert found == {
        "unary": ["<hello>", "5"],
        "large": True,
        "down": sum(len(str(number)) * 1000 for number in range(200)),
        "up": "1000000",
        "both": [f"<{number}>" for number in range(20)],
        "fails": ["NOT_FOUND", "no such thing: 100 %"],
    }


async def test_who_may_not_call_reads_a_status_of_grpc(site, front):
    await front.serve(site.service("api", API), rules=(deny("front", "api"),))
    assert await calls(front, "unary", "both") == {
        "unary": ["PERMISSION_DENIED", "RBAC: access denied"],
        "both": ["PERMISSION_DENIED", "RBAC: access denied"],
    }


async def test_a_call_that_no_instance_can_take_is_unavailable(site, front):
    front.sets["plaintext:api"] = ()
    await front.serve(site.service("api", API))
    assert await calls(front, "unary") == {"unary": ["UNAVAILABLE", "no healthy upstream"]}
