"""What the load generator is asked to do.  ●

Belongs here: runs as data, and the arguments they become. Never here: starting it (`measure`).
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["passthrough", "tls", "http", "http2", "https"]
#: So many connections stand open when memory is looked at.
IDLE_CONNECTIONS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One measurement of one subject. `key` tells it from others of the same mode.

    `bytes` is the size of an answer, or of what goes up; 0 is the generator's default.
    `shared`: generator and upstream want more than the one core of two that is theirs, so all share all.
    """

    key: str
    mode: str
    connections: int
    resume: bool = False
    shared: bool = False
    bytes: int = 0

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

GET = Run(key="get", mode="get", connections=64)
ONCE = Run(key="once", mode="once", connections=32)
H2 = Run(key="h2", mode="h2", connections=16, bytes=1024)
GET_LARGE = Run(key="get-1mb", mode="get", connections=8, shared=True, bytes=1 << 20)
PUT_LARGE = Run(key="put-1mb", mode="put", connections=8, shared=True, bytes=1 << 20)
#: Streams at once on each connection of H2.
H2_STREAMS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Files of a TLS client: its chain and key, and the roots that servers are checked with."""

    certificate: str
    key: str
    roots: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Where the generator connects: a port, and the server name and host that it says, if it says any."""

    port: int
    server_name: str = ""
    host: str = ""
    credentials: Credentials | None = None


def arguments(
    run: Run, way: Way, *, seconds: float, reset: bool = False, verify: bool = False
) -> list[str]:
    """The generator's command line, without its own name."""
    found = [run.mode, "--port", str(way.port), "--connections", str(run.connections)]
    found += ["--seconds", f"{seconds:g}"]
    if run.bytes:
        found += ["--bytes", str(run.bytes)]
    if way.host:
        found += ["--host", way.host]
    if way.server_name:
        found += ["--sni", way.server_name]
    if way.credentials is not None:
        files = way.credentials
        found += ["--tls", "--cert", files.certificate, "--key", files.key, "--roots", files.roots]
    found += ["--resume"] * run.resume + ["--reset"] * (reset and run.mode == "connect")
    return found + ["--verify"] * verify
