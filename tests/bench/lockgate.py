"""The product under test: `lockgate dev` with a gateway of each kind, as a user starts it.

Belongs here: its entries, its start, its command line. Never here: what is measured.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .processes import BenchError, running
from .runs import Credentials
from .subjects import (
    CALLER,
    HOST,
    HTTP_SERVICE,
    HTTPS_SERVICE,
    PASSTHROUGH_SERVICE,
    TLS_SERVICE,
    Names,
    Ports,
    Subject,
    ways,
)

COMMAND = (sys.executable, "-I", "-m", "coordinator.cli")
START_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where it keeps its state, and the ports it serves and reaches."""

    directory: Path
    ports: Ports
    upstream_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lockgate:
    """One that serves. `pid` is the parent of coordinator, node and workers."""

    pid: int
    http: str
    places: Places
    ready: dict[str, Any]

    def run(self, *arguments: str) -> str:
        """The command line against it; what it printed. Raises BenchError."""
        done = subprocess.run(
            [*COMMAND, *arguments, "-http-addr", self.http],
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode:
            raise BenchError(f"lockgate {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run("--format", "json", *arguments))

    def status(self) -> dict[str, Any]:
        return dict(self.json("status"))

    @property
    def engine(self) -> str:
        return str(self.status()["nodes"][0]["engine"])

    def names(self) -> Names:
        uri = self.json("explain", "-source", CALLER, "-destination", TLS_SERVICE)["route"]["sni"]
        return Names(trust_domain=uri.partition(".internal.")[2])

    def leaf(self, service: str) -> Credentials:
        """A certificate of its CA, which the peers use as well."""
        out = self.places.directory / "leaves"
        self.run("connect", "leaf", "-service", service, "-out", str(out))
        return Credentials(
            certificate=f"{out}/{service}.crt",
            key=f"{out}/{service}.key",
            roots=f"{out}/roots.pem",
        )

    def subject(self, names: Names, caller: Credentials) -> Subject:
        places, status = self.places, self.status()
        return Subject(
            name="lockgate",
            root=self.pid,
            ways=ways(places.ports, names, caller),
            version=f"{status['version']} ({status['nodes'][0]['engine']} engine)",
        )


@contextmanager
def lockgate(places: Places, *, workers: int) -> Iterator[Lockgate]:
    """Started, and serving; its certificate authority lives on in `places` for the next start."""
    wanted = places.directory / "wanted"
    wanted.mkdir(parents=True, exist_ok=True)
    for name, text in _files(places).items():
        (wanted / name).write_text(text)
    log = places.directory / "lockgate.log"
    command = [*COMMAND, "--format", "json", "dev", str(wanted), "--workers", str(workers)]
    command += ["--state", str(places.directory / "state")]
    with running(command, log, stdout=subprocess.PIPE, stop_seconds=30) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise BenchError(f"lockgate dev ended at once, see {log}")
        ready = json.loads(line)
        yield Lockgate(pid=process.pid, http=ready["http"], places=places, ready=ready)


def _files(places: Places) -> dict[str, str]:
    return {
        "mesh.hcl": _gateway("mesh-gateway", "mesh", places.ports.passthrough),
        "egress.hcl": _gateway("terminating-gateway", "egress", places.ports.tls),
        "linked.hcl": (
            f'Kind = "terminating-gateway"\nName = "egress"\n'
            f'Services = [ {{ Name = "{TLS_SERVICE}" }}, {{ Name = "{HTTPS_SERVICE}" }} ]\n'
        ),
        "front.hcl": (
            'Kind = "ingress-gateway"\nName = "front"\n'
            f'Listeners = [ {{ Port = {places.ports.http}, Protocol = "http", Services = [\n'
            f'  {{ Name = "{HTTP_SERVICE}", Hosts = ["{HOST}"] }} ] }} ]\n'
        ),
        "allow-db.hcl": _allow(TLS_SERVICE, CALLER),
        "allow-store.hcl": _allow(HTTPS_SERVICE, CALLER),
        "allow-shop.hcl": _allow(HTTP_SERVICE, "front"),
        "store-http.hcl": _http(HTTPS_SERVICE),
        "shop-http.hcl": _http(HTTP_SERVICE),
        "web.hcl": _outside(PASSTHROUGH_SERVICE, places.upstream_port, native=True),
        "db.hcl": _outside(TLS_SERVICE, places.upstream_port),
        "store.hcl": _outside(HTTPS_SERVICE, places.upstream_port),
        "shop.hcl": (
            f'service {{\n  name = "{HTTP_SERVICE}"\n  address = "127.0.0.1"\n'
            f'  port = {places.upstream_port}\n  meta = {{ lockgate-plaintext = "true" }}\n}}\n'
        ),
    }


def _gateway(kind: str, name: str, port: int) -> str:
    return (
        f'service {{\n  kind = "{kind}"\n  name = "{name}"\n'
        f'  address = "127.0.0.1"\n  port = {port}\n}}\n'
    )


def _allow(service: str, source: str) -> str:
    return (
        f'Kind = "service-intentions"\nName = "{service}"\n'
        f'Sources = [ {{ Name = "{source}", Action = "allow" }} ]\n'
    )


def _http(service: str) -> str:
    return f'Kind = "service-defaults"\nName = "{service}"\nProtocol = "http"\n'


def _outside(service: str, port: int, *, native: bool = False) -> str:
    """A registration. A mesh gateway leads to connect-native instances and sidecars, as Consul's does."""
    connect = "  Connect { Native = true }\n" if native else ""
    return (
        f'Node = "outside-{service}"\nAddress = "127.0.0.1"\n'
        f'Service {{\n  Service = "{service}"\n  Port = {port}\n{connect}}}\n'
    )
