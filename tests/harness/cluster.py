"""A whole Lockgate on this machine for one scenario: `lockgate dev`, its command line, and sidecars."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .programs import PATIENCE, free_port, listens, wait_until

LOCKGATE = [sys.executable, "-I", "-m", "coordinator.cli"]


@dataclass
class Sidecar:
    """One `lockgate connect proxy`; `ports` are where its upstreams listen."""

    process: subprocess.Popen[bytes]
    ports: dict[str, int]
    listen: int | None
    log: Path


@dataclass
class Cluster:
    """A running development cluster."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]
    directory: Path
    log: Path
    sidecars: list[Sidecar] = field(default_factory=list)

    @property
    def http(self) -> str:
        return str(self.ready["http"])

    @property
    def worker_pids(self) -> list[int]:
        """The workers as `status` knows them now."""
        (node,) = self.status()["nodes"]
        return [worker["pid"] for worker in node["workers"]]

    def run(self, *arguments: str, seconds: float = 20) -> subprocess.CompletedProcess[str]:
        """The command line against this cluster."""
        environment = {**os.environ, "LOCKGATE_HTTP_ADDR": self.http}
        return subprocess.run(
            [*LOCKGATE, *arguments],
            capture_output=True,
            text=True,
            env=environment,
            timeout=seconds * PATIENCE,
        )

    def ok(self, *arguments: str) -> str:
        """The same; it must succeed. What it printed."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.ok("--format", "json", *arguments))

    def status(self) -> dict[str, Any]:
        return dict(self.json("status"))

    def connections(self) -> list[dict[str, Any]]:
        return list(self.json("connections", "list"))

    def write(self, name: str, text: str) -> None:
        """A configuration entry, through the command line."""
        path = self.directory / name
        path.write_text(text)
        self.ok("config", "write", str(path))

    def address(self, gateway: str) -> tuple[str, int]:
        """Where a gateway listens."""
        (found,) = (one for one in self.ready["listeners"] if one["gateway"] == gateway)
        host, _, port = found["address"].rpartition(":")
        return host, int(port)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a node's samples with these labels."""
        return sum(samples(self.ready["metrics"]["node"], name, labels))

    @contextmanager
    def sidecar(
        self,
        service: str,
        upstreams: Sequence[str] = (),
        *,
        port: int | None = None,
        extra: Sequence[str] = (),
    ) -> Iterator[Sidecar]:
        """A sidecar of `service`, its upstreams on free ports; with `port`, its inbound side too."""
        ports = {upstream: free_port() for upstream in upstreams}
        arguments = ["-service", service]
        for upstream, local in ports.items():
            arguments += ["-upstream", f"{upstream}:{local}"]
        listen = free_port() if port is not None else None
        if listen is not None:
            arguments += ["-service-addr", f"127.0.0.1:{port}", "-listen", f"127.0.0.1:{listen}"]
        log = self.directory / f"sidecar-{service}-{len(self.sidecars)}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [*LOCKGATE, "connect", "proxy", "-http-addr", self.http, *arguments, *extra],
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        found = Sidecar(process, ports, listen, log)
        self.sidecars.append(found)
        try:
            for local in [*ports.values(), *([listen] if listen else [])]:
                wait_until(f"the sidecar listens, see {log}", lambda at=local: listens(at))
            wait_until(
                f"the sidecar has its certificate, see {log}",
                lambda: b"certificate" in log.read_bytes(),
            )
            for upstream in upstreams:  # until then it closes who calls
                wait_until(
                    f"the sidecar knows where {upstream} is, see {log}",
                    lambda name=upstream: _knows(log, name),
                )
            yield found
        finally:
            stop(process)


def _knows(log: Path, upstream: str) -> bool:
    """Whether a sidecar has heard of an upstream's endpoints."""
    lines = log.read_text().splitlines()
    return any(" upstream " in line and f"service={upstream}" in line for line in lines)


def stop(process: subprocess.Popen[Any], seconds: float = 10.0) -> int:
    """SIGINT, then SIGKILL to the process group; the exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            return process.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def samples(url: str, name: str, labels: dict[str, str]) -> Iterator[float]:
    """Values of one metric that carry all of `labels`."""
    import urllib.request

    from prometheus_client.parser import text_string_to_metric_families

    text = urllib.request.urlopen(url, timeout=30).read().decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                yield sample.value


@contextmanager
def lockgate(
    directory: Path,
    files: dict[str, str],
    *,
    workers: int = 2,
    extra: Sequence[str] = (),
) -> Iterator[Cluster]:
    """`lockgate dev` over these files, once it serves; its whole group is gone afterwards."""
    wanted = directory / "wanted"
    wanted.mkdir(exist_ok=True)
    given = [str(wanted)] if files else []
    for name, text in files.items():
        (wanted / name).write_text(text)
    log = directory / "lockgate.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*LOCKGATE, "--format", "json", "dev", *given, "--workers", str(workers), *extra],
            stdout=subprocess.PIPE,
            stderr=out,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"lockgate dev ended at once:\n{log.read_text()}"
        yield Cluster(process, json.loads(line), directory, log)
    finally:
        stop(process)
        if process.stdout is not None:
            process.stdout.close()
