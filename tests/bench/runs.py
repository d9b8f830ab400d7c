"""What the load generator is asked to do.  ●

Belongs here: runs as data, and the arguments they become. Never here: starting it (`measure`).
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["passthrough", "tls"]
#: So many connections stand open when memory is looked at.
IDLE_CONNECTIONS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One measurement of one subject. `key` tells it from others of the same mode.

    `shared`: generator and upstream want more than the one core of two that is theirs, so all share all.
    """

    key: str
    mode: str
    connections: int
    resume: bool = False
    shared: bool = False

    def __str__(self) -> str:
        return self.key


CONNECT = Run(key="connect", mode="connect", connections=64)
HANDSHAKE = Run(key="full", mode="connect", connections=32)
RESUME = Run(key="resume", mode="connect", connections=32, resume=True)
ECHO_1 = Run(key="echo-1", mode="echo", connections=1)
ECHO_64 = Run(key="echo-64", mode="echo", connections=64)
ECHO_1000 = Run(key="echo-1000", mode="echo", connections=1000)
DOWN = Run(key="down", mode="down", connections=4, shared=True)
UP = Run(key="up", mode="up", connections=4, shared=True)
IDLE = Run(key="idle", mode="idle", connections=IDLE_CONNECTIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Files of a TLS client: its chain and key, and the roots that servers are checked with."""

    certificate: str
    key: str
    roots: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Where the generator connects: a port, and the server name that it says, if it says any."""

    port: int
    server_name: str = ""
    credentials: Credentials | None = None


def arguments(
    run: Run, way: Way, *, seconds: float, reset: bool = False, verify: bool = False
) -> list[str]:
    """The generator's command line, without its own name."""
    found = [run.mode, "--port", str(way.port), "--connections", str(run.connections)]
    found += ["--seconds", f"{seconds:g}"]
    if way.server_name:
        found += ["--sni", way.server_name]
    if way.credentials is not None:
        files = way.credentials
        found += ["--tls", "--cert", files.certificate, "--key", files.key, "--roots", files.roots]
    found += ["--resume"] * run.resume + ["--reset"] * (reset and run.mode == "connect")
    return found + ["--verify"] * verify
