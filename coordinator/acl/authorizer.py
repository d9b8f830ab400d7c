"""Whether rules grant a right. Pure.

Belongs here: Consul's decision: an exact rule beats a prefix, the longest prefix wins, and of several rules
for the same name deny beats write beats list beats read; where no rule speaks, the default policy does.
Never here: where the rules come from. Source: Consul, "ACL rules", and `acl/policy_authorizer.go`, whose
meaning is kept with one difference: a right to all names needs a rule (or default) for the names that no
rule mentions. A rule for a service that says nothing of intentions lets them be read, unless it denies.
"""

from collections.abc import Iterable, Iterator

from .rights import Access, Right, Scope
from .rules import Rule

_STRENGTH = {Access.READ: 0, Access.LIST: 1, Access.WRITE: 2, Access.DENY: 3}
_GRANTS = {
    Access.DENY: (),
    Access.READ: (Access.READ,),
    Access.LIST: (Access.READ, Access.LIST),
    Access.WRITE: (Access.READ, Access.LIST, Access.WRITE),
}
#: Where a resource without a rule of its own looks next.
_FALLS_BACK = {"mesh": "operator", "peering": "operator"}


class _Names:
    """The rules for one resource."""

    def __init__(self) -> None:
        self.exact: dict[str, Access] = {}
        self.prefixes: dict[str, Access] = {}
        self._lengths: tuple[int, ...] = ()  # of the prefixes, the longest first

    def add(self, rule: Rule) -> None:
        rules = self.prefixes if rule.is_prefix else self.exact
        present = rules.get(rule.name, rule.access)
        rules[rule.name] = max(present, rule.access, key=_STRENGTH.__getitem__)

    def fill(self, services: "_Names") -> None:
        """The right to intentions where a service's rules do not tell it: to read what one may see at all."""
        for own, others in ((self.exact, services.exact), (self.prefixes, services.prefixes)):
            for name, access in others.items():
                own.setdefault(name, Access.DENY if access is Access.DENY else Access.READ)

    def of(self, name: str) -> Access | None:
        """What the most specific rule says of a name."""
        return self.exact.get(name) or self.of_prefix(name)

    def of_prefix(self, name: str) -> Access | None:
        for length in self._lengths:
            if length <= len(name) and (access := self.prefixes.get(name[:length])):
                return access
        return None

    def measure(self) -> None:
        """To be called once all rules are there."""
        self._lengths = tuple(sorted({len(prefix) for prefix in self.prefixes}, reverse=True))

    def all(self) -> Iterator[Access]:
        yield from self.exact.values()
        yield from self.prefixes.values()

    def under(self, prefix: str) -> Iterator[Access]:
        """What is said of names that begin so."""
        for rules in (self.exact, self.prefixes):
            yield from (access for name, access in rules.items() if name.startswith(prefix))


class Authorizer:
    """The joined rules of one speaker, and the default for what they do not mention."""

    def __init__(self, rules: Iterable[Rule], *, default_allow: bool) -> None:
        self._default = default_allow
        self._resources: dict[str, _Names] = {}
        for rule in rules:
            self._resources.setdefault(rule.resource, _Names()).add(rule)
        if services := self._resources.get("service"):
            self._resources.setdefault("intention", _Names()).fill(services)
        for names in self._resources.values():
            names.measure()

    def allows(self, right: Right) -> bool:
        """The decision."""
        return self._allows(right) or (right.otherwise is not None and self.allows(right.otherwise))

    def _allows(self, right: Right) -> bool:
        names = self._resources.get(right.resource)
        if names is None:
            names = self._resources.get(_FALLS_BACK.get(right.resource, ""))
        if names is None:
            return self._default
        return _DECIDERS[right.scope](self, names, right)

    def _one(self, names: _Names, right: Right) -> bool:
        return self._grants(names.of(right.name), right)

    def _under(self, names: _Names, right: Right) -> bool:
        if not self._grants(names.of_prefix(right.name), right):
            return False
        return all(self._grants(access, right) for access in names.under(right.name))

    def _any(self, names: _Names, right: Right) -> bool:
        if any(right.access in _GRANTS[access] for access in names.all()):
            return True
        return self._grants(names.prefixes.get(""), right)

    def _all(self, names: _Names, right: Right) -> bool:
        if not self._grants(names.prefixes.get(""), right):
            return False
        return all(right.access in _GRANTS[access] for access in names.all())

    def _grants(self, access: Access | None, right: Right) -> bool:
        return self._default if access is None else right.access in _GRANTS[access]


_DECIDERS = {
    Scope.ONE: Authorizer._one,
    Scope.UNDER: Authorizer._under,
    Scope.ANY: Authorizer._any,
    Scope.ALL: Authorizer._all,
}
