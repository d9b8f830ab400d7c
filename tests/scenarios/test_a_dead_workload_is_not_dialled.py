"""A program in the mesh dies behind its sidecar: the gateway's host notices, and callers hear so at once.

The program is a real nginx, registered as Consul's users do it: a service with an HTTP check on localhost
and a sidecar, whose health follows it.
"""

import urllib.error
import urllib.request
from contextlib import ExitStack

import pytest

from tests.harness import servers
from tests.harness.cluster import lockgate
from tests.harness.entries import allow
from tests.harness.programs import free_port, wait_until

pytestmark = pytest.mark.slow

FRONT = """
Kind = "ingress-gateway"
Name = "front"
Listeners = [{ Port = %d, Services = [{ Name = "web" }] }]
"""
WEB = """
service {
  name = "web"
  port = %d
  check {
    id       = "alive"
    name     = "alive"
    http     = "http://localhost:%d/health"
    interval = "1s"
    timeout  = "10s"
  }
  connect { sidecar_service {} }
}
"""


def test_a_workload_that_dies_leaves_the_snapshot_until_it_is_back(tmp_path):
    port, door = free_port(), free_port()
    files = {"front.hcl": FRONT % door, "web.hcl": WEB % (port, port)}
    files |= {"allow.hcl": allow("web", "front")}
    block = f"listen 127.0.0.1:{port}; location / {{ return 200 'well'; }}"
    site = tmp_path / "site"
    site.mkdir()

    def asked():
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{door}/", timeout=30).read()
        except (urllib.error.URLError, ConnectionError):
            return b""

    with ExitStack() as stack:
        cluster = stack.enter_context(lockgate(tmp_path, files, workers=1))
        sidecar = stack.enter_context(cluster.sidecar("web", port=port))

        def healthy():
            found = cluster.json("explain", "-source", "front", "-destination", "web")["endpoints"]
            return [one["address"] for one in found if one["healthy"]]

        assert healthy() == []  # a check that was never done is critical
        with servers.nginx(site, block, port):
            wait_until("the workload passes", healthy, 30)
            assert healthy() == [f"127.0.0.1:{sidecar.listen}"]
            wait_until("it is served", lambda: asked() == b"well")

        wait_until("its endpoint is not healthy any more", lambda: not healthy(), 30)
        refused = {"gateway": "front", "service": "web", "end": "no_endpoint"}
        wait_until(
            "nobody is sent to it",
            lambda: (
                asked() == b"" and cluster.metric("lockgate_connections_closed_total", **refused)
            ),
        )
        with servers.nginx(site, block, port):
            wait_until("it passes again", healthy, 30)
            wait_until("it is served again", lambda: asked() == b"well")
