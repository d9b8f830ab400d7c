"""Everything that is measured, started on this machine: upstream, Lockgate, peers.

Belongs here: what is started in which order, ports, certificates. Never here: measuring.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from . import peers as peer_programs
from .lockgate import Lockgate, Places, lockgate
from .measure import GENERATOR
from .processes import BenchError, free_port, running
from .runs import Credentials, Way
from .subjects import CALLER, TLS_SERVICE, Names, Ports, Subject

PEERS: dict[str, Callable[..., AbstractContextManager[Subject]]] = {
    "haproxy": peer_programs.haproxy,
    "nginx": peer_programs.nginx,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Names and certificates that Lockgate's authority made, for everybody."""

    names: Names
    server: Credentials
    caller: Credentials


@dataclass
class Bench:
    """A private directory, and an upstream.

    Each subject has a port of the upstream to itself, so that what one leaves in TIME_WAIT is not in the way
    of the next.
    """

    directory: Path
    upstream_ports: dict[str, int]
    upstream_pid: int
    ports: dict[str, Ports] = field(default_factory=dict)
    identity: Identity | None = None

    def ports_of(self, name: str) -> Ports:
        """The same at each start, as Lockgate's state remembers its own."""
        if name not in self.ports:
            tls, http = free_port(), free_port()
            ours = name == "lockgate"
            self.ports[name] = Ports(
                passthrough=free_port(),
                tls=tls,
                http=http,
                http2=http if ours else free_port(),
                https=tls if ours else free_port(),
            )
        return self.ports[name]

    @property
    def direct(self) -> Subject:
        way = Way(port=self.upstream_ports["direct"])
        return Subject(name="direct", root=0, ways={"passthrough": way})


@contextmanager
def bench(chosen: Sequence[str]) -> Iterator[Bench]:
    """The directory and the upstream; gone afterwards, but for the directory if something went wrong."""
    if not GENERATOR.exists():
        raise BenchError(f"{GENERATOR} is not built: make -C {GENERATOR.parent}")
    directory = Path(tempfile.mkdtemp(prefix="lockgate-bench-"))
    ports = {name: free_port() for name in ("direct", "lockgate", *chosen)}
    command = [str(GENERATOR), "upstream"]
    for port in ports.values():
        command += ["--port", str(port)]
    try:
        with running(command, directory / "upstream.log", stdout=subprocess.PIPE) as upstream:
            assert upstream.stdout is not None
            if not json.loads(upstream.stdout.readline() or "{}").get("ready"):
                raise BenchError(f"no upstream: {(directory / 'upstream.log').read_text()}")
            yield Bench(directory, ports, upstream.pid)
    except BenchError as error:
        raise BenchError(f"{error} (files are in {directory})") from error
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def subjects(
    site: Bench, chosen: Sequence[str], *, processes: int
) -> Iterator[tuple[Lockgate, list[Subject]]]:
    """Lockgate and the chosen peers, with so many workers, threads, processes each; checked one by one."""
    with ExitStack() as stack:
        product = stack.enter_context(start_lockgate(site, workers=processes))
        identity = site.identity
        assert identity is not None
        found = [product.subject(identity.names, identity.caller)]
        for name in chosen:
            place = peer_programs.Site(
                directory=site.directory / name,
                ports=site.ports_of(name),
                upstream_port=site.upstream_ports[name],
                names=identity.names,
                server=identity.server,
                caller=identity.caller,
            )
            place.directory.mkdir(exist_ok=True)
            found.append(stack.enter_context(PEERS[name](place, processes=processes)))
        yield product, found


@contextmanager
def start_lockgate(site: Bench, *, workers: int) -> Iterator[Lockgate]:
    """Lockgate alone; its first start makes everybody's certificates."""
    places = Places(
        directory=site.directory / "lockgate",
        ports=site.ports_of("lockgate"),
        upstream_port=site.upstream_ports["lockgate"],
    )
    with lockgate(places, workers=workers) as product:
        if site.identity is None:
            site.identity = Identity(
                names=product.names(),
                server=product.leaf(TLS_SERVICE),
                caller=product.leaf(CALLER),
            )
        yield product
