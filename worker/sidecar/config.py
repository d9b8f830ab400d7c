"""What a sidecar is asked to do, from its command line.  ●

Belongs here: the options and their spelling. Never here: secrets, which come by environment.
"""

import argparse
from collections.abc import Sequence

import msgspec

from cluster.errors import ConfigError, Problem

DEFAULT_API = "unix:///run/lockgate/admin.sock"


class Place(msgspec.Struct, frozen=True):
    """A host (IP or name) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """One destination service, and where the program finds it on this host."""

    service: str
    listen: Place


class SidecarConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`service` is whom the sidecar stands for; `mesh_gateway` names gateways to go through."""

    service: str
    upstreams: tuple[Upstream, ...] = ()
    service_address: Place | None = None
    listen: Place | None = None
    api: str = DEFAULT_API
    mesh_gateway: str = ""
    metrics: Place | None = None
    log_level: str = "info"
    log_format: str = "console"


def parse_place(text: str, what: str) -> Place:
    """`HOST:PORT` or `[IPv6]:PORT`. Raises `ConfigError`."""
    host, _, port = text.rpartition(":")
    if not host or not _is_port(port):
        raise _problem(what, f"{text!r} is not HOST:PORT")
    return Place(host.removeprefix("[").removesuffix("]"), int(port))


def _problem(what: str, message: str) -> ConfigError:
    return ConfigError((Problem(path=what, message=message),))


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 0 <= int(text) < 65536


def parse_upstream(text: str) -> Upstream:
    """`SERVICE:PORT` listens on 127.0.0.1; `SERVICE:HOST:PORT` where it says. Raises `ConfigError`."""
    service, _, where = text.partition(":")
    place = where if ":" in where else f"127.0.0.1:{where}"
    if not service:
        raise _problem("-upstream", f"{text!r} names no service")
    try:
        return Upstream(service=service, listen=parse_place(place, "-upstream"))
    except ConfigError:
        raise _problem("-upstream", f"{text!r} is not SERVICE:[HOST:]PORT") from None


def parse_api(text: str) -> str:
    """`unix:///path` or `http(s)://host:port`, where `host:port` alone is HTTP. Raises `ConfigError`."""
    url = text if "://" in text else f"http://{text}"
    scheme, _, rest = url.partition("://")
    if scheme == "unix" and rest.startswith("/"):
        return url
    if scheme in ("http", "https") and rest.strip("/"):
        return url
    raise _problem("-http-addr", f"{text!r} is neither unix:///path nor http://host:port")


def parse_arguments(arguments: Sequence[str]) -> SidecarConfig:
    """The configuration; exits with usage help for unknown options. Raises `ConfigError`."""
    options = _parser().parse_args(arguments)
    config = SidecarConfig(
        service=options.service,
        upstreams=tuple(parse_upstream(text) for text in options.upstream),
        service_address=_optional_place(options.service_addr, "-service-addr"),
        listen=_optional_place(options.listen, "-listen"),
        metrics=_optional_place(options.metrics_addr, "-metrics-addr"),
        api=parse_api(options.http_addr),
        mesh_gateway=options.mesh_gateway,
        log_level=options.log_level,
        log_format=options.log_format,
    )
    if problems := tuple(_problems(config)):
        raise ConfigError(problems)
    return config


def _optional_place(text: str, what: str) -> Place | None:
    return parse_place(text, what) if text else None


def _problems(config: SidecarConfig) -> list[Problem]:
    found = []
    if not config.service:
        found.append(Problem(path="-service", message="is empty"))
    if (config.service_address is None) != (config.listen is None):
        message = (
            "-service-addr and -listen go together: where the service is, where the mesh comes in"
        )
        found.append(Problem(message=message))
    if not config.upstreams and config.listen is None:
        message = "nothing to do: give -upstream SERVICE:PORT, or -service-addr with -listen"
        found.append(Problem(message=message))
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lockgate connect proxy",
        description="Let a program that knows nothing of the mesh use it, and be used by it.",
        epilog="example: lockgate connect proxy -service web -upstream billing:9191",
    )
    add = parser.add_argument
    add("-service", "--service", required=True, help="the service that the program is")
    add(
        "-upstream",
        "--upstream",
        action="append",
        default=[],
        metavar="SERVICE:[HOST:]PORT",
        help="listen here in plain TCP for connections to SERVICE; may be repeated",
    )
    add(
        "-service-addr",
        "--service-addr",
        default="",
        metavar="HOST:PORT",
        help="where the program itself listens; connections from the mesh go there",
    )
    add("-listen", "--listen", default="", metavar="HOST:PORT", help="where the mesh comes in")
    add("-http-addr", "--http-addr", default=DEFAULT_API, help="the coordinator's API")
    add(
        "-mesh-gateway",
        "--mesh-gateway",
        default="",
        metavar="NAME",
        help="reach upstreams through the instances of this mesh gateway",
    )
    add("-metrics-addr", "--metrics-addr", default="", metavar="HOST:PORT")
    add("-log-level", "--log-level", default="info")
    add("-log-format", "--log-format", default="console", choices=("console", "json"))
    return parser
