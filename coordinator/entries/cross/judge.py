"""Whether a change may be made: what it can reach is looked at as it would be afterwards.

Belongs here: which rules are asked about what, and who is to blame. Never here: a rule.

A change is blamed for what it breaks, not for what was broken before it; but an ingress gateway that is
being written must fit, whatever it was.
"""

from collections.abc import Iterable, Mapping, Set
from typing import Protocol

from cluster.chain import Chain
from cluster.chain.entries import Body
from cluster.errors import Problem

from .entry_rules import JWT_PROVIDER, TERMINATING, entry_problems
from .index import INGRESS, INTENTIONS, Index, Key
from .reach import everything, reached
from .service_rules import compiled, new_identity, service_problems


class Entry(Protocol):
    """An entry that is valid by itself; see `coordinator.entries.entry.Checked`."""

    @property
    def body(self) -> Body: ...


def cross_problems(entries: Iterable[Entry]) -> tuple[Problem, ...]:
    """Why these entries cannot stand together; nothing if they can.

    The path of each problem begins with the entry: `service-intentions/api: Sources[0].Permissions`.
    """
    index = Index(entry.body for entry in entries)
    return _problems(index, everything(index), set(index.keys()), frozenset())


def judge(index: Index, changes: Mapping[Key, Body | None]) -> tuple[Problem, ...]:
    """What these writes, and deletes (None), made together, would break; nothing if they may be made.

    The index is the same when this returns.
    """
    written = frozenset(name for kind, name in changes if kind == INGRESS)
    services, keys = reached(index, changes), _keys(index, changes)
    with index.supposing(changes):
        after = _problems(index, services, keys, written)
        chains = _exported_chains(index, services)
    changed = (new_identity(name, compiled(index, name), new) for name, new in chains.items())
    identities = tuple(problem for problem in changed if problem)
    if not after:
        return identities
    before = _problems(index, services, keys, frozenset())
    forgiven = {problem for problem in before if not _is_of_gateway(problem, written)}
    return (*(problem for problem in after if problem not in forgiven), *identities)


def _problems(
    index: Index, services: Set[str], keys: Set[Key], written: Set[str]
) -> tuple[Problem, ...]:
    found = [entry_problems(index, key) for key in sorted(keys)]
    found += [service_problems(index, service, written) for service in sorted(services)]
    return tuple(dict.fromkeys(problem for problems in found for problem in problems))


def _is_of_gateway(problem: Problem, gateways: Set[str]) -> bool:
    kind, _, rest = problem.path.partition("/")
    return kind == INGRESS and rest.partition(": ")[0] in gateways


def _keys(index: Index, changes: Mapping[Key, Body | None]) -> set[Key]:
    """The entries that are judged by themselves: those changed, users of a provider that goes, and a
    gateway whose name another one takes.
    """
    users = (index.users(name) for kind, name in changes if kind == JWT_PROVIDER)
    namesakes = ((TERMINATING, name) for kind, name in changes if kind == INGRESS)
    return {*changes, *((INTENTIONS, name) for names in users for name in names), *namesakes}


def _exported_chains(index: Index, services: Set[str]) -> dict[str, Chain | None]:
    return {name: compiled(index, name) for name in services if index.exports(name)}
