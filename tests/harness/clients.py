"""Real clients of the real servers, pointed at a sidecar's local ports."""

import hashlib
import subprocess
from pathlib import Path

from .programs import PATIENCE, program


def run(
    *command: str, seconds: float = 60, **options: object
) -> subprocess.CompletedProcess[bytes]:
    """One client to its end; what it printed."""
    return subprocess.run(
        command,
        capture_output=True,
        timeout=seconds * PATIENCE,
        **options,  # type: ignore[call-overload]
    )


def pgbench_init(port: int) -> subprocess.CompletedProcess[bytes]:
    return run(program("pgbench", "postgresql-contrib"), *_pg(port), "-i", "-q", "postgres")


def pgbench(port: int, seconds: int, clients: int = 4) -> subprocess.CompletedProcess[bytes]:
    """TPC-B for so long; fails if any client is cut off."""
    binary = program("pgbench", "postgresql-contrib")
    return run(
        binary,
        *_pg(port),
        "-c",
        str(clients),
        "-T",
        str(seconds),
        "-n",
        "postgres",
        seconds=seconds + 30,
    )


def start_pgbench(port: int, seconds: int, clients: int = 4) -> subprocess.Popen[bytes]:
    """The same in the background."""
    binary = program("pgbench", "postgresql-contrib")
    return subprocess.Popen(
        [binary, *_pg(port), "-c", str(clients), "-T", str(seconds), "-n", "postgres"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )


def psql(port: int, query: str) -> subprocess.CompletedProcess[bytes]:
    binary = program("psql", "postgresql-client")
    return run(binary, *_pg(port), "-At", "-c", query, "postgres")


def _pg(port: int) -> tuple[str, ...]:
    return ("-h", "127.0.0.1", "-p", str(port), "-U", "postgres")


def redis_cli(port: int, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    binary = program("redis-cli", "redis-tools")
    return run(binary, "-h", "127.0.0.1", "-p", str(port), *arguments, input=stdin)


def fetch(port: int, path: str, into: Path) -> tuple[int, str]:
    """curl's exit status, and the SHA-256 of what came."""
    curl = program("curl", "curl")
    done = run(curl, "-sS", "-f", "-o", str(into), f"http://127.0.0.1:{port}/{path}", seconds=120)
    digest = hashlib.sha256(into.read_bytes()).hexdigest() if into.exists() else ""
    return done.returncode, digest
