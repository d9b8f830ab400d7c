"""The peers: HAProxy and nginx, as Debian packages them, on those of `configurations/`.

Belongs here: filling in the configurations, and starting. Never here: what is in them; README.md says why.
"""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from .processes import listens, program, running, wait_until
from .runs import Credentials
from .subjects import HOST, PASSTHROUGH_SERVICE, TLS_SERVICE, Names, Ports, Subject, ways

_TEMPLATES = Path(__file__).parent / "configurations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a peer's configuration needs to know. `server` proves `db`, `caller` is who connects."""

    directory: Path
    ports: Ports
    upstream_port: int
    names: Names
    server: Credentials
    caller: Credentials


@contextmanager
def haproxy(site: Site, *, processes: int) -> Iterator[Subject]:
    """HAProxy in one process with so many threads, which is how it uses cores."""
    binary = program("haproxy", "haproxy")
    pair = Path(site.server.certificate).read_text() + Path(site.server.key).read_text()
    _write(site.directory / "db.pem", pair, secret=True)
    names = (PASSTHROUGH_SERVICE, TLS_SERVICE)
    _write(site.directory / "names.map", "".join(f"{site.names.of(n)} upstream\n" for n in names))
    _write(site.directory / "hosts.map", f"{HOST} answers\n")
    config = _fill("haproxy.cfg", site, processes, {})
    version = _first_line([binary, "-v"])
    with _serving("haproxy", [binary, "-db", "-f", str(config)], site, version) as subject:
        yield subject


@contextmanager
def nginx(site: Site, *, processes: int) -> Iterator[Subject]:
    """nginx with so many worker processes, each with a listening socket of its own."""
    binary = program("nginx", "nginx, and libnginx-mod-stream")
    words = {
        "REUSEPORT": "reuseport" if processes > 1 else "",
        "PASSTHROUGH_NAME": site.names.of(PASSTHROUGH_SERVICE),
        "TLS_NAME": site.names.of(TLS_SERVICE),
    }
    config = _fill("nginx.conf", site, processes, words)
    version = _first_line([binary, "-v"])
    command = [binary, "-e", str(site.directory / "nginx.log"), "-c", str(config)]
    with _serving("nginx", command, site, version) as subject:
        yield subject


@contextmanager
def _serving(name: str, command: list[str], site: Site, version: str) -> Iterator[Subject]:
    log = site.directory / f"{name}.out"
    with running(command, log) as process:
        for port in asdict(site.ports).values():
            wait_until(f"{name} listens on {port}, see {log}", partial(listens, port), process)
        yield Subject(
            name=name,
            root=process.pid,
            version=version,
            ways=ways(site.ports, site.names, site.caller),
        )


def _fill(template: str, site: Site, processes: int, words: Mapping[str, str]) -> Path:
    common = {
        "PROCESSES": str(processes),
        "DIRECTORY": str(site.directory),
        **{f"{kind.upper()}_PORT": str(port) for kind, port in asdict(site.ports).items()},
        "HOST": HOST,
        "UPSTREAM_PORT": str(site.upstream_port),
        "CERTIFICATE": site.server.certificate,
        "KEY": site.server.key,
        "ROOTS": site.server.roots,
    }
    return _write(
        site.directory / template, fill((_TEMPLATES / template).read_text(), {**common, **words})
    )


def fill(text: str, words: Mapping[str, str]) -> str:
    """The text with each @WORD@ replaced; both programs use every other bracket themselves."""
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text


def _write(path: Path, text: str, *, secret: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600 if secret else 0o644)
    path.write_text(text)
    return path


def _first_line(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    return (done.stdout + done.stderr).splitlines()[0]
