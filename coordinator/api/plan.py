"""What a change would do before it is made: `/v1/lockgate/plan` and `/v1/lockgate/simulate`.

Belongs here: reading the change from a body, and putting the answers together. Never here: what a change
does to whom (`consequences`), or writing anything.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import trio

from cluster.errors import Problem
from cluster.policies import RulesByDestination
from coordinator.acl.rights import operator_read
from coordinator.changes.flows import simulate
from coordinator.entries.entry import Checked, check_entry
from coordinator.store.state import State
from coordinator.store.tables import ENTRIES

from .answers import ApiError
from .body import Fields, read_object
from .consequences import closes, differences, with_entries
from .endpoint import Call, Do, at
from .entry_writes import broken_by, entry_key

_NOTHING: dict[str, Any] = {
    "entries": [],
    "newly_allowed": [],
    "newly_denied": [],
    "pairs_total": {"allowed": 0, "denied": 0},
    "routes": [],
    "closes": {"total": 0, "connections": [], "complete": True, "unanswered": []},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be written and removed, by key, and why that cannot be."""

    written: tuple[Checked, ...]
    removed: tuple[str, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


async def _plan(call: Call) -> dict[str, Any]:
    """`valid` is false, and everything else empty, if the change would be refused."""
    state = call.services.wanted.state.snapshot()
    change = await judged(state, Fields(await read_object(call.request)))
    if change.problems:
        return _shown(change) | _NOTHING
    after = with_entries(state, change.written, change.removed)
    found = await differences(call.services, state, after)
    return _shown(change) | found.shown() | {"closes": await closes(call.services, found)}


async def _simulate(call: Call) -> dict[str, Any]:
    """Without `flows` the nodes are asked for what is live and what was closed lately."""
    state = call.services.wanted.state.snapshot()
    body = Fields(await read_object(call.request))
    change = await judged(state, body)
    if change.problems:
        return _shown(change) | {"flows": 0, "same": 0, "skipped": 0, "differs": []}
    flows, missing = await _flows(call, body.anything("flows"))
    after = with_entries(state, change.written, change.removed)
    found = await differences(call.services, state, after)
    policy_of = RulesByDestination(found.after.policy).policy
    simulated = await trio.to_thread.run_sync(simulate, flows, policy_of)
    return {**_shown(change), **msgspec.to_builtins(simulated), "unanswered": missing}


async def _flows(call: Call, given: Any) -> tuple[Iterable[Any], list[str]]:
    if isinstance(given, list):
        return given, []
    if given is not None:
        raise ApiError(400, "'flows' must be a list of connections")
    live = await call.services.fleet.survey("connections", {})
    closed = await call.services.fleet.survey("closed", {})
    return (*live.items, *closed.items), list(dict.fromkeys((*live.missing, *closed.missing)))


async def judged(state: State, body: Fields) -> Change:
    """The change, judged by the rules of each entry and between them. Raises ApiError (400)."""
    entries = _objects(body, "entries")
    removed = tuple(_key(one) for one in _objects(body, "delete"))
    judged = [(one, *check_entry(one)) for one in entries]
    written = tuple(checked for _, checked, _, _ in judged if checked)
    problems = [p for one, _, found, _ in judged for p in _placed(one, found)]
    warnings = [w for one, _, _, found in judged for w in _placed(one, found)]
    problems += _contradictions(written, removed)
    problems += (
        Problem(path=key, message="there is no such entry to delete")
        for key in removed
        if state.get(ENTRIES, key) is None
    )
    if not problems:
        problems += await trio.to_thread.run_sync(broken_by, state, written, removed)
    return Change(
        written=written, removed=removed, problems=tuple(problems), warnings=tuple(warnings)
    )


def _objects(body: Fields, name: str) -> list[dict[str, Any]]:
    found = body.anything(name) or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ApiError(400, f"{name!r} must be a list of objects")
    return found


def _key(body: Mapping[str, Any]) -> str:
    fields = Fields(body)
    kind, name = fields.text("kind"), fields.text("name")
    if not kind or not name:
        raise ApiError(400, "what is to be deleted has a kind and a name")
    return entry_key(kind, name)


def _placed(body: Mapping[str, Any], found: Iterable[Problem]) -> Iterator[Problem]:
    """With the entry in front of the path, as problems between entries have it."""
    fields = Fields(body)
    entry = f"{fields.anything('kind')}/{fields.anything('name')}"
    for problem in found:
        path = f"{entry}: {problem.path}" if problem.path else entry
        yield msgspec.structs.replace(problem, path=path)


def _contradictions(written: Iterable[Checked], removed: Iterable[str]) -> Iterator[Problem]:
    seen = set(removed)
    for entry in written:
        key = entry_key(entry.kind, entry.name)
        if key in seen:
            yield Problem(path=key, message="the change names this entry twice")
        seen.add(key)


def _shown(change: Change) -> dict[str, Any]:
    return {
        "valid": not change.problems,
        "problems": [_problem(one) for one in change.problems],
        "warnings": [_problem(one) for one in change.warnings],
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "file": problem.file,
        "line": problem.line,
        "path": problem.path,
        "message": problem.message,
    }


ROUTES = (
    at("/v1/lockgate/plan", POST=Do(answer=_plan, needs=operator_read, audited=False)),
    at("/v1/lockgate/simulate", POST=Do(answer=_simulate, needs=operator_read, audited=False)),
)
