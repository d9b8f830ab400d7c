"""A chain while it is put together: what was asked for, and what was found so far.

Belongs here: the one thing that changes during a compilation, and asking for entries through it. Never here:
what an entry means.
"""

from dataclasses import dataclass, field

from .entries import Body, Entries
from .errors import ChainError
from .overrides import Overrides
from .protocol import HTTP_LIKE, service_protocol
from .values import Node, Target, key


@dataclass(slots=True, kw_only=True)
class Assembly:
    """`effective` are the overrides that changed anything, `splitting` the splitters being built."""

    service: str
    datacenter: str
    trust_domain: str
    entries: Entries
    overrides: Overrides
    protocol: str = ""
    needs_http: bool = False
    nodes: dict[str, Node] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)
    effective: set[str] = field(default_factory=set)
    splitting: list[str] = field(default_factory=list)

    def entry(self, kind: str, name: str) -> Body:
        """An entry; an empty one if there is none."""
        return self.entries(kind, name) or {}

    def advanced(self, kind: str, name: str) -> Body | None:
        """A router or splitter, if there is one and the protocol asked for does not exclude it."""
        body = self.entries(kind, name)
        if body is None:
            return None
        if self.overrides.protocol and self.overrides.protocol not in HTTP_LIKE:
            self.effective.add("protocol")
            return None
        self.needs_http = True
        return body

    def add(self, node: Node) -> None:
        self.nodes[key(node)] = node

    def speak(self, service: str) -> None:
        """A service of ours is part of the chain. Raises ChainError if its protocol is another."""
        protocol = service_protocol(self.entries, service)
        self.protocol = self.protocol or protocol
        if protocol != self.protocol:
            raise ChainError(
                f"discovery chain {self.service} uses inconsistent protocols; service {service} "
                f"has {protocol}, which is not {self.protocol}"
            )
