"""A sidecar of `web` reaches the sidecar of `api` through a mesh gateway that decrypts nothing."""

import os
import socket

import pytest

from tests.harness.cluster import lockgate
from tests.harness.echo import echo
from tests.harness.entries import allow
from tests.harness.programs import wait_until
from tests.harness.stream import attempt

pytestmark = pytest.mark.slow

MESH = """
service {
  kind = "mesh-gateway"
  name = "mesh"
  address = "127.0.0.1"
  port = %d
}
"""


def test_web_reaches_api_through_the_mesh_gateway_and_bytes_are_unchanged(tmp_path):
    from tests.harness.programs import free_port

    sent = os.urandom(300_000)
    files = {"mesh.hcl": MESH % free_port(), "allow.hcl": allow("api", "web")}
    with (
        echo() as upstream,
        lockgate(tmp_path, files) as cluster,
        cluster.sidecar("api", port=upstream.port),
        cluster.sidecar("web", ["api"], extra=("-mesh-gateway", "mesh")) as web,
    ):
        port = web.ports["api"]
        wait_until("the way is known", lambda: not attempt(port, timeout=2).error)
        assert _exchange(port, sent) == sent
        assert sent in [bytes(one) for one in upstream.received]
        carried = {"kind": "mesh", "service": "api", "direction": "up"}
        wait_until(
            "the mesh gateway carried it, and TLS around it",
            lambda: cluster.metric("lockgate_connection_bytes_total", **carried) > len(sent),
        )

        cluster.write("deny.hcl", allow("api", "somebody-else"))
        wait_until("the destination refuses", lambda: attempt(port, timeout=2).error)


def _exchange(port: int, data: bytes) -> bytes:
    got = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        while chunk := sock.recv(65536):
            got += chunk
    return bytes(got)
