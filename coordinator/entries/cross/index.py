"""The entries by kind and name, and who refers to whom.

Belongs here: finding an entry, and the entries that name a service, without looking at all of them. Never
here: a rule.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, TypeAlias

from cluster.chain.entries import Body
from cluster.chain.references import leads_to
from cluster.names import WILDCARD

#: Kind and name of an entry.
Key: TypeAlias = tuple[str, str]

INTENTIONS = "service-intentions"
INGRESS = "ingress-gateway"
EXPORTS = "exported-services"
#: Consul's own servers, which nobody exports.
CONSUL = "consul"

_NOTHING: Mapping[str, Body] = MappingProxyType({})
_NOBODY: Set[Any] = frozenset()


class Index:
    """The entries of one moment. It changes with `put` and `remove`, one entry at a time."""

    def __init__(self, bodies: Iterable[Body] = ()) -> None:
        self._by_kind: defaultdict[str, dict[str, Body]] = defaultdict(dict)
        self._referrers: defaultdict[str, set[Key]] = defaultdict(set)
        self._users: defaultdict[str, set[str]] = defaultdict(set)
        self._exported: frozenset[str] | None = None
        for body in bodies:
            self.put(body)

    def get(self, kind: str, name: str) -> Body | None:
        """The stored body, as `cluster.chain.Entries` asks for it."""
        return self._by_kind.get(kind, _NOTHING).get(name)

    def of_kind(self, kind: str) -> Mapping[str, Body]:
        """All entries of a kind, by name."""
        return self._by_kind.get(kind, _NOTHING)

    def keys(self) -> Iterator[Key]:
        return ((kind, name) for kind, found in self._by_kind.items() for name in found)

    def referrers(self, service: str) -> Set[Key]:
        """The routers, splitters, resolvers and ingress gateways that name another service."""
        return self._referrers.get(service, _NOBODY)

    def users(self, provider: str) -> Set[str]:
        """The destinations whose intentions name a JWT provider."""
        return self._users.get(provider, _NOBODY)

    def exports(self, service: str) -> bool:
        """Whether a peer may call the service, by its name or by `*`."""
        names = self.exported()
        return service in names or (WILDCARD in names and service != CONSUL)

    def exported(self) -> frozenset[str]:
        """The names that are exported to some peer, perhaps `*` among them."""
        if self._exported is None:
            bodies = self.of_kind(EXPORTS).values()
            self._exported = frozenset(name for body in bodies for name in exported_names(body))
        return self._exported

    def put(self, body: Body) -> None:
        """An entry is there, or is another than before."""
        kind, name = body["Kind"], body["Name"]
        self.remove(kind, name)
        self._by_kind[kind][name] = body
        for service in named_services(body):
            self._referrers[service].add((kind, name))
        for provider in {provider for _, provider in named_providers(body)}:
            self._users[provider].add(name)

    def remove(self, kind: str, name: str) -> None:
        """An entry is gone, if it was there."""
        body = self._by_kind[kind].pop(name, None)
        if kind == EXPORTS:
            self._exported = None
        if body is None:
            return
        for service in named_services(body):
            _discard(self._referrers, service, (kind, name))
        for provider in {provider for _, provider in named_providers(body)}:
            _discard(self._users, provider, name)

    @contextmanager
    def supposing(self, changes: Mapping[Key, Body | None]) -> Iterator[None]:
        """As if these entries had been written, or deleted (None). Nothing may await inside."""
        before = {key: self.get(*key) for key in changes}
        self._take(changes)
        try:
            yield
        finally:
            self._take(before)

    def _take(self, changes: Mapping[Key, Body | None]) -> None:
        for key, body in changes.items():
            if body is None:
                self.remove(*key)
            else:
                self.put(body)


def named_services(body: Body) -> frozenset[str]:
    """The services that an entry of the graph, or an ingress gateway, names."""
    if body["Kind"] == INGRESS:
        return frozenset(name for _, _, name in ingress_services(body)) - {WILDCARD}
    return leads_to(body)


def ingress_services(body: Body) -> Iterator[tuple[str, Body, str]]:
    """Each service of each listener of an ingress gateway: its path, the listener, its name."""
    for index, listener in enumerate(body.get("Listeners") or ()):
        for number, service in enumerate(listener.get("Services") or ()):
            yield f"Listeners[{index}].Services[{number}]", listener, service.get("Name", "")


def exported_names(body: Body) -> Iterator[str]:
    """The services that an exported-services entry gives to a peer."""
    for service in body.get("Services") or ():
        if any(consumer.get("Peer") for consumer in service.get("Consumers") or ()):
            yield service.get("Name", "")


def has_permissions(body: Body) -> bool:
    """Whether intentions look at requests, which only a protocol of HTTP has."""
    return any(source.get("Permissions") for source in body.get("Sources") or ())


def named_providers(body: Body) -> Iterator[tuple[str, str]]:
    """Every JWT provider that intentions name, with its path."""
    if body["Kind"] != INTENTIONS:
        return
    places = [("JWT", body.get("JWT"))]
    for index, source in enumerate(body.get("Sources") or ()):
        for number, permission in enumerate(source.get("Permissions") or ()):
            path = f"Sources[{index}].Permissions[{number}].JWT"
            places.append((path, permission.get("JWT")))
    for path, jwt in places:
        for index, provider in enumerate((jwt or {}).get("Providers") or ()):
            yield f"{path}.Providers[{index}].Name", provider.get("Name", "")


def _discard(sets: defaultdict[str, set[Any]], name: str, member: Any) -> None:
    sets[name].discard(member)
    if not sets[name]:
        del sets[name]
