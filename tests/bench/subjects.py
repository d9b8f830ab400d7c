"""What is measured: a proxy that runs, or the upstream itself without one.  ●

Belongs here: what all of them have in common. Never here: how one is started (`lockgate`, `peers`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from .runs import Kind, Way

#: Whom the connections ask for: `web` is reached through passthrough, `db` through termination, by `client`.
PASSTHROUGH_SERVICE, TLS_SERVICE, CALLER = "web", "db", "client"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """`root` is the process whose tree is charged with the work (0: none); `version` is for the report."""

    name: str
    root: int
    ways: Mapping[Kind, Way]
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Server names, as Consul spells them."""

    trust_domain: str

    def of(self, service: str) -> str:
        return f"{service}.default.dc1.internal.{self.trust_domain}"
