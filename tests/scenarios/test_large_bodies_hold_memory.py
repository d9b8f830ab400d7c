"""A body of any size takes the same memory on its way up and down, also when its reader is slow.

`make large-bodies` does it with 1 GB instead of LOCKGATE_BODY_MB's 64.
"""

import hashlib
import os
from pathlib import Path

import pytest

from tests.harness import servers
from tests.harness.clients import run
from tests.harness.cluster import lockgate
from tests.harness.entries import allow
from tests.harness.programs import free_port, program, wait_until

pytestmark = pytest.mark.slow

BODY_MB = int(os.environ.get("LOCKGATE_BODY_MB", "64"))
#: Far less than a body, and more than the buffers of one connection.
GROWTH_BYTES = 12 * 1024 * 1024
HOST = "site.example.com"
SITE = """
service {
  name    = "site"
  address = "127.0.0.1"
  port    = %d
  meta    = { lockgate-plaintext = "true" }
}
"""
FRONT = """
Kind = "ingress-gateway"
Name = "front"
Listeners = [
  { Port = %d, Protocol = "http", Services = [{ Name = "site", Hosts = ["site.example.com"] }] },
  { Port = %d, Protocol = "http", TLS { Enabled = true },
    Services = [{ Name = "site", Hosts = ["site.example.com"] }] },
]
"""


class Memory:
    """What a process holds, and the most it has held since it was asked first."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._before = self._read("VmRSS")
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew (proc(5))

    def growth(self) -> int:
        return self._read("VmHWM") - self._before

    def _read(self, key: str) -> int:
        (line,) = (one for one in self._status.read_text().splitlines() if one.startswith(key))
        return int(line.split()[1]) * 1024


@pytest.fixture(scope="module")
def ports():
    return {"http": free_port(), "https": free_port()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, folder, ports):
    port = free_port()
    block = (
        f"listen 127.0.0.1:{port}; root {folder}; client_max_body_size 0; dav_methods PUT; "
        "location = /ready { return 204; }"
    )
    files = {
        "front.hcl": FRONT % (ports["http"], ports["https"]),
        "site.hcl": SITE % port,
        "protocol.hcl": 'Kind = "service-defaults"\nName = "site"\nProtocol = "http"\n',
        "allow.hcl": allow("site", "front"),
    }
    with (
        servers.nginx(folder, block, port),
        lockgate(tmp_path_factory.mktemp("lockgate"), files, workers=1) as found,
    ):
        yield found


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_large_body_up_and_down(cluster, folder, ports, tmp_path, scheme):
    port = ports[scheme]
    sent = servers.random_file(tmp_path / "sent.bin", BODY_MB * 1024 * 1024)

    def curl(path, *options):
        where = ("--resolve", f"{HOST}:{port}:127.0.0.1", "-k", "-sSf")
        return run(program("curl", "curl"), *where, *options, f"{scheme}://{HOST}:{port}{path}")

    wait_until("the site answers", lambda: curl("/ready").returncode == 0)
    (worker,) = cluster.worker_pids
    memory = Memory(worker)
    up = curl("/stored.bin", "-T", str(sent))
    assert up.returncode == 0, up.stderr
    down = curl("/stored.bin", "-o", str(tmp_path / "got.bin"), "--limit-rate", "100M")
    assert down.returncode == 0, down.stderr
    assert _digest(tmp_path / "got.bin") == _digest(folder / "stored.bin") == _digest(sent)
    (folder / "stored.bin").unlink()
    assert memory.growth() < GROWTH_BYTES


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
