"""Clients of HTTP/1.1, HTTP/2 and gRPC reach servers of HTTP/2 and gRPC: curl and grpcio call, nghttpd behind
a sidecar, hypercorn in plain and grpcio behind a terminating gateway serve.
"""

import hashlib
import json
import re
import sys
from pathlib import Path

import pytest

from tests.harness import servers
from tests.harness.clients import run
from tests.harness.cluster import lockgate
from tests.harness.entries import allow, external
from tests.harness.programs import free_port, program, wait_until

pytestmark = pytest.mark.slow

MEGABYTES = 10
HUGE_MEGABYTES = 100
#: What carrying these may add to a worker, beyond what it needs anyway.
MORE_KILOBYTES = 16 * 1024
PEERS = (sys.executable, "-m", "tests.harness.grpc_peers")


class Ports:
    def __init__(self):
        self.site, self.app, self.orders = free_port(), free_port(), free_port()
        self.http2, self.grpc = free_port(), free_port()

    @property
    def front(self):
        return f"""
Kind = "ingress-gateway"
Name = "front"
Listeners = [
  {{ Port = {self.http2}, Protocol = "http2", Services = [{{ Name = "site" }}, {{ Name = "app" }}] }},
  {{ Port = {self.grpc}, Protocol = "grpc", Services = [{{ Name = "orders" }}] }},
]
"""


def protocol(service, name):
    return f'Kind = "service-defaults"\nName = "{service}"\nProtocol = "{name}"\n'


EGRESS = 'Kind = "terminating-gateway"\nName = "egress"\nServices = [{ Name = "orders" }]\n'
APP = """
service {
  name    = "app"
  address = "127.0.0.1"
  port    = %d
  meta    = { lockgate-plaintext = "true" }
}
"""
#: What it was sent, as a digest; says which version of HTTP it was asked in.
ASGI = """
import hashlib

async def app(scope, receive, send):
    assert scope["type"] == "http"  # no lifespan
    digest, more = hashlib.sha256(), True
    while more:
        event = await receive()
        digest.update(event.get("body", b""))
        more = event.get("more_body", False)
    body = f"{scope['http_version']} {digest.hexdigest()}".encode()
    head = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": body})
"""


@pytest.fixture(scope="module")
def ports():
    return Ports()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("http2")


@pytest.fixture(scope="module")
def large(folder):
    return servers.random_file(folder / "large.bin", MEGABYTES * 1024 * 1024)


@pytest.fixture(scope="module")
def behind(folder, ports, large):
    """nghttpd, hypercorn on trio, and grpcio."""
    (folder / "served.py").write_text(ASGI)
    (folder / "small").touch()
    nghttpd = [
        program("nghttpd", "nghttp2-server"),
        "--no-tls",
        "-a",
        "127.0.0.1",
        "-d",
        str(folder),
    ]
    hypercorn = [sys.executable, "-m", "hypercorn", "-k", "trio", "-b", f"127.0.0.1:{ports.app}"]
    with (
        servers.running([*nghttpd, str(ports.site)], ports.site, folder / "nghttpd.log"),
        servers.running([*hypercorn, "served:app"], ports.app, folder / "app.log", cwd=str(folder)),
        servers.running([*PEERS, "serve", str(ports.orders)], ports.orders, folder / "grpc.log"),
    ):
        yield


@pytest.fixture(scope="module")
def cluster(folder, ports, behind):
    files = {
        "front.hcl": ports.front,
        "egress.hcl": EGRESS,
        "orders.hcl": external("orders", ports.orders),
        "app.hcl": APP % ports.app,
        "site-protocol.hcl": protocol("site", "http2"),
        "app-protocol.hcl": protocol("app", "http2"),
        "orders-protocol.hcl": protocol("orders", "grpc"),
        **{f"allow-{name}.hcl": allow(name, "front") for name in ("site", "app", "orders")},
    }
    with lockgate(folder, files, workers=1) as found, found.sidecar("site", port=ports.site):
        wait_until(
            "the sidecar is known",
            lambda: _curl(ports, "site", "/large.bin", "-I").returncode == 0,
            60,
        )
        yield found


def _curl(ports, service, path, *more):
    host = f"{service}.ingress.consul"
    where = f"{host}:{ports.http2}:127.0.0.1"
    options = ("-sS", "-f", "--resolve", where, *more)
    return run(program("curl", "curl"), *options, f"http://{host}:{ports.http2}{path}")


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_a_large_body_comes_down_from_behind_a_sidecar(cluster, ports, large, folder, version):
    into = folder / "got.bin"
    answer = _curl(ports, "site", "/large.bin", version, "-o", str(into))
    assert answer.returncode == 0, answer.stderr
    assert _digest(into) == _digest(large)


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
@pytest.mark.parametrize("coding", ["Content-Type: a/b", "Transfer-Encoding: chunked"])
def test_a_large_body_goes_up_to_an_asgi_server(cluster, ports, large, version, coding):
    if "chunked" in coding and "2" in version:
        coding = "Content-Type: a/b"
    answer = _curl(ports, "app", "/", version, "-T", str(large), "-H", coding)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.decode() == f"2 {_digest(large)}"


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_a_body_of_any_size_takes_the_same_memory(cluster, ports, folder, version):
    huge = folder / "huge.bin"
    with huge.open("wb") as out:
        out.truncate(HUGE_MEGABYTES * 1024 * 1024)
    before = _peak_kilobytes(cluster)
    down = _curl(ports, "site", "/huge.bin", version, "-o", "/dev/null", "-w", "%{size_download}")
    assert int(down.stdout) == huge.stat().st_size
    up = _curl(ports, "site", "/small", version, "-T", str(huge), "-w", "%{size_upload}")
    assert int(up.stdout) == huge.stat().st_size
    assert _peak_kilobytes(cluster) - before < MORE_KILOBYTES


def _peak_kilobytes(cluster):
    (pid,) = cluster.worker_pids
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])


def test_every_kind_of_grpc_call(cluster, ports):
    """Through both gateways: grpcio, HTTP/2, mutual TLS with HTTP/2, HTTP/2, grpcio."""
    answer = run(*PEERS, "call", str(ports.grpc), "orders.ingress.consul")
    assert answer.returncode == 0, answer.stderr.decode()
    found = json.loads(answer.stdout)
    assert found["one"] == ["HELLO", "mine", "end", [0, 255], "OK"]
    assert found["down"] == ["0", "1", "2", "3", "4"]
    assert found["up"] == "2000000"
    assert found["both"] == ["cba", "fed", "ihg"]
    assert found["fail"] == ["FAILED_PRECONDITION", "the shop is closed: ü", "closed"]
    assert found["none"][0] == "UNIMPLEMENTED"


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
