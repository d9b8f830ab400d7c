"""curl and an nginx that know nothing of the mesh, one request at a time through a terminating gateway."""

import hashlib

import pytest

from tests.harness import servers
from tests.harness.clients import run
from tests.harness.cluster import lockgate
from tests.harness.entries import external
from tests.harness.programs import free_port, program

pytestmark = pytest.mark.slow

GATEWAY = 'Kind = "terminating-gateway"\nName = "egress"\nServices = [ { Name = "site" } ]\n'
PROTOCOL = 'Kind = "service-defaults"\nName = "site"\nProtocol = "http"\n'
READ_ONLY = """
Kind = "service-intentions"
Name = "site"
Sources = [ { Name = "web", Permissions = [
  { Action = "deny", HTTP { PathPrefix = "/private" } },
  { Action = "allow", HTTP { Methods = ["GET", "HEAD"] } },
] } ]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    large = servers.random_file(folder / "large.bin", 50 * 1024 * 1024)
    port = free_port()
    block = f"listen 127.0.0.1:{port}; root {folder};"
    with servers.nginx(folder, block, port):
        yield port, hashlib.sha256(large.read_bytes()).hexdigest()


def curl(*arguments):
    return run(program("curl", "curl"), "-sS", *arguments)


def test_requests_are_decided_about_one_by_one(tmp_path, site):
    port, checksum = site
    files = {
        "gateway.hcl": GATEWAY,
        "site.hcl": external("site", port),
        "protocol.hcl": PROTOCOL,
        "read-only.hcl": READ_ONLY,
    }
    with lockgate(tmp_path, files, workers=1) as cluster, cluster.sidecar("web", ["site"]) as side:
        url = f"http://127.0.0.1:{side.ports['site']}"
        into = tmp_path / "got.bin"
        assert curl("-f", "-o", str(into), f"{url}/large.bin").returncode == 0
        assert hashlib.sha256(into.read_bytes()).hexdigest() == checksum
        both = curl("-w", "%{http_code} %{num_connects}\n", f"{url}/private", f"{url}/none")
        assert both.stdout.startswith(b"RBAC: access denied403 1\n")
        assert both.stdout.endswith(b"404 0\n")  # on the same connection
        posted = curl("-d", "x", f"{url}/large.bin")
        assert posted.stdout == b"RBAC: access denied"
        smuggled = curl("-H", "Host: a, b", f"{url}/large.bin", "-w", "%{http_code}")
        assert smuggled.stdout.endswith(b"400")
