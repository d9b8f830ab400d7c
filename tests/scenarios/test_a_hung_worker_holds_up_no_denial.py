"""One worker hangs, so its node owes an answer: a deny written meanwhile bites at the others at once."""

import os
import signal
import socket
import time
from contextlib import suppress

import httpx
import pytest

from tests.harness.cluster import lockgate
from tests.harness.echo import echo
from tests.harness.entries import allow, external
from tests.harness.programs import wait_until

pytestmark = pytest.mark.slow

GATEWAY = """
Kind = "terminating-gateway"
Name = "egress"
Services = [ { Name = "echo" } ]
"""
ANOTHER = {
    "Node": "another",
    "Address": "127.0.0.1",
    "Service": {"ID": "echo-2", "Service": "echo", "Port": 1},
}
DENY = {
    "Kind": "service-intentions",
    "Name": "echo",
    "Sources": [{"Name": "web", "Action": "deny"}],
}


def test_a_deny_does_not_wait_for_the_answer_to_an_earlier_change(tmp_path):
    with echo() as upstream:
        files = {
            "gateway.hcl": GATEWAY,
            "echo.hcl": external("echo", upstream.port),
            "allow.hcl": allow("echo", "web"),
        }
        with (
            lockgate(tmp_path, files, workers=2) as cluster,
            cluster.sidecar("web", ["echo"]) as sidecar,
            socket.create_connection(("127.0.0.1", sidecar.ports["echo"]), timeout=30) as held,
        ):
            _round_trip(held)
            (found,) = cluster.connections()
            workers = cluster.status()["nodes"][0]["workers"]
            hung = next(one["pid"] for one in workers if one["index"] != found["worker"])
            os.kill(hung, signal.SIGSTOP)
            try:
                _put(cluster, "/v1/catalog/register", ANOTHER)
                wait_until("its node owes an answer", lambda: _state(cluster) == "behind")
                _put(cluster, "/v1/config", DENY)
                denied_at = time.monotonic()
                _wait_for_end(held)
                took = time.monotonic() - denied_at
                assert took < 1.0 or _state(cluster) == "behind", f"it lived on for {took:.2f} s"
            finally:
                os.kill(hung, signal.SIGCONT)
            wait_until("all is well again", lambda: _state(cluster) == "current")


def _put(cluster, path: str, body: object) -> None:
    """Over HTTP: a hung worker is left out after three seconds, and a command takes most of one."""
    httpx.put(f"{cluster.http}{path}", json=body, timeout=30).raise_for_status()


def _state(cluster) -> str:
    status = httpx.get(f"{cluster.http}/v1/lockgate/status", timeout=30).json()
    return str(status["nodes"][0]["state"])


def _round_trip(sock: socket.socket) -> None:
    sock.sendall(b"x")
    assert sock.recv(1) == b"x"


def _wait_for_end(sock: socket.socket) -> None:
    with suppress(ConnectionResetError):
        assert sock.recv(1) == b""
