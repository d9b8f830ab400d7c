"""The product under test: `lockgate dev` with a mesh and a terminating gateway, as a user starts it.

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
from .runs import Credentials, Way
from .subjects import CALLER, PASSTHROUGH_SERVICE, TLS_SERVICE, Names, Subject

COMMAND = (sys.executable, "-I", "-m", "coordinator.cli")
START_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where it keeps its state, and the ports it serves and reaches."""

    directory: Path
    passthrough_port: int
    tls_port: int
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
        tls = Way(port=places.tls_port, server_name=names.of(TLS_SERVICE), credentials=caller)
        plain = Way(port=places.passthrough_port, server_name=names.of(PASSTHROUGH_SERVICE))
        return Subject(
            name="lockgate",
            root=self.pid,
            ways={"passthrough": plain, "tls": tls},
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
        "mesh.hcl": _gateway("mesh-gateway", "mesh", places.passthrough_port),
        "egress.hcl": _gateway("terminating-gateway", "egress", places.tls_port),
        "linked.hcl": (
            f'Kind = "terminating-gateway"\nName = "egress"\n'
            f'Services = [ {{ Name = "{TLS_SERVICE}" }} ]\n'
        ),
        "allow.hcl": (
            f'Kind = "service-intentions"\nName = "{TLS_SERVICE}"\n'
            f'Sources = [ {{ Name = "{CALLER}", Action = "allow" }} ]\n'
        ),
        "web.hcl": _outside(PASSTHROUGH_SERVICE, places.upstream_port, native=True),
        "db.hcl": _outside(TLS_SERVICE, places.upstream_port),
    }


def _gateway(kind: str, name: str, port: int) -> str:
    return (
        f'service {{\n  kind = "{kind}"\n  name = "{name}"\n'
        f'  address = "127.0.0.1"\n  port = {port}\n}}\n'
    )


def _outside(service: str, port: int, *, native: bool = False) -> str:
    """A registration. A mesh gateway leads to connect-native instances and sidecars, as Consul's does."""
    connect = "  Connect { Native = true }\n" if native else ""
    return (
        f'Node = "outside-{service}"\nAddress = "127.0.0.1"\n'
        f'Service {{\n  Service = "{service}"\n  Port = {port}\n{connect}}}\n'
    )
