"""What is measured: a proxy that runs, or the upstream itself without one.  ●

Belongs here: what all of them have in common. Never here: how one is started (`lockgate`, `peers`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from .runs import Credentials, Kind, Way

#: Whom the connections ask for: `web` is reached through passthrough, `db` through termination, by `client`.
PASSTHROUGH_SERVICE, TLS_SERVICE, CALLER = "web", "db", "client"
#: The same in HTTP: `shop` plain through an ingress gateway, by its host; `store` through termination.
HTTP_SERVICE, HTTPS_SERVICE = "shop", "store"
HOST = "shop.example.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """`root` is the process whose tree is charged with the work (0: none); `version` is for the report."""

    name: str
    root: int
    ways: Mapping[Kind, Way]
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where a subject listens, by kind. One port of Lockgate may be several of these."""

    passthrough: int
    tls: int
    http: int
    http2: int
    https: int


def ways(ports: Ports, names: "Names", caller: Credentials) -> dict[Kind, Way]:
    """How each kind is asked for; `caller` is who does."""
    return {
        "passthrough": Way(port=ports.passthrough, server_name=names.of(PASSTHROUGH_SERVICE)),
        "tls": Way(port=ports.tls, server_name=names.of(TLS_SERVICE), credentials=caller),
        "http": Way(port=ports.http, host=HOST),
        "http2": Way(port=ports.http2, host=HOST),
        "https": Way(
            port=ports.https,
            server_name=names.of(HTTPS_SERVICE),
            host=HOST,
            credentials=caller,
        ),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Server names, as Consul spells them."""

    trust_domain: str

    def of(self, service: str) -> str:
        return f"{service}.default.dc1.internal.{self.trust_domain}"
