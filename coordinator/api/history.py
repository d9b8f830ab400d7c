"""What was, and going back to it: `/v1/lockgate/history`, `diff` and `rollback`.

Belongs here: published generations with the commits that led to them, and the way back. Never here: what a
commit leaves behind (`coordinator.store.versions`), or how states are compared (`consequences`).

A number is a generation, or any revision whose entries are kept: a commit that composes to what was published
already has no generation of its own.
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import msgspec
import trio

from cluster.errors import Problem, SnapshotRejected
from cluster.sections import decode_snapshot
from cluster.snapshot import Snapshot
from coordinator.acl.rights import operator_read, operator_write
from coordinator.changes.entries import entry_diffs
from coordinator.entries.entry import Checked, check_entry
from coordinator.store.history import Published, StoredSnapshot
from coordinator.store.records import Change, Delete, Put, StoreError
from coordinator.store.state import State
from coordinator.store.tables import ENTRIES
from coordinator.store.versions import (
    Bodies,
    NotKept,
    Version,
    entries_at,
    present_entries,
    versions,
)

from .answers import ApiError, refuse
from .body import Fields, read_object
from .consequences import Differences, between, closes, differences, with_entries
from .endpoint import Call, Do, at
from .entry_rights import entry_write
from .entry_writes import broken_by, entry_key
from .needs import in_answer

_SMALL = 20  # digits of a number that fits


async def _history(call: Call) -> list[dict[str, Any]]:
    """Newest first; `at` in seconds since 1970. `published` is false for a commit without a generation."""
    published = await call.services.history.list()
    state = call.services.wanted.state.snapshot()
    refused = call.services.fleet.refusals()
    kept = await trio.to_thread.run_sync(versions, state)
    left = {version.revision: version for version in kept}
    rows = []
    for one, earlier in pairwise((*published, None)):
        assert one is not None, "only the last is None"
        since = one.revision - 1 if earlier is None else earlier.revision
        led = [number for number in left if since < number <= one.revision]
        rows.append(_row(one, [left.pop(number) for number in led], refused))
    rows += [_unpublished(version) for version in left.values()]
    return sorted(rows, key=lambda row: (row["revision"], row["generation"]), reverse=True)


def _row(
    one: Published, led: Iterable[Version], refused: Mapping[int, Mapping[str, Iterable[str]]]
) -> dict[str, Any]:
    nacked = refused.get(one.generation, {})
    return {
        "generation": one.generation,
        "revision": one.revision,
        "published": True,
        "digest": one.digest,
        "epoch": one.epoch,
        "at": one.at,
        "size_bytes": one.size_bytes,
        "changes": [_shown(version) for version in led],
        "nacked": [{"node": node, "problems": list(nacked[node])} for node in sorted(nacked)],
    }


def _unpublished(version: Version) -> dict[str, Any]:
    return {
        "generation": version.revision,
        "revision": version.revision,
        "published": False,
        "digest": "",
        "epoch": "",
        "at": version.at,
        "size_bytes": 0,
        "changes": [_shown(version)],
        "nacked": [],
    }


def _shown(version: Version) -> dict[str, Any]:
    entries = []
    for change in version.changes:
        kind, _, name = change.key.partition("/")
        entries.append({"kind": kind, "name": name, "change": change.change})
    return {
        "revision": version.revision,
        "at": version.at,
        "author": version.author,
        "note": version.note,
        "entries": entries,
    }


async def _diff(call: Call) -> dict[str, Any]:
    """`catalog` says of which moment the routes are: of the generations, or, where one of their snapshots is
    not kept, of the present for both."""
    numbers = _number(call.required("from"), "from"), _number(call.query("to") or "0", "to")
    revisions = await _revisions(call)
    state = call.services.wanted.state.snapshot()
    asked = [revisions.get(number, number) for number in numbers]
    before = await trio.to_thread.run_sync(_at, state, asked[0])
    after = await trio.to_thread.run_sync(_at, state, asked[1]) if numbers[1] else state
    kept = [await _published(call, number) for number in numbers]
    if kept[0] is not None and kept[1] is not None:
        found = between(before, after, kept[0], kept[1])
    else:
        found = await differences(call.services, before, after)
    catalog = "published" if all(kept) else "present"
    shown = {"from": numbers[0], "to": numbers[1] or state.revision, "catalog": catalog}
    return shown | found.shown()


async def _rollback(call: Call) -> dict[str, Any]:
    """Make the entries what they were, as one new revision; refused if they would not fit together now."""
    call.require(operator_write)
    body = Fields(await read_object(call.request))
    generation = _number(str(body.anything("generation")), "generation")
    is_dry = body.anything("dry_run") is True
    revision = (await _revisions(call)).get(generation, generation)
    services = call.services
    async with services.writes:
        before = services.wanted.state.snapshot()
        written, removed = await trio.to_thread.run_sync(_way, before, revision)
        _require_writes(call, before, written, removed)
        after, broken = await trio.to_thread.run_sync(_end, before, written, removed)
        if broken:
            raise refuse(409, broken)
        made = before.revision
        if not is_dry:
            changes: list[Change] = [Delete(table=ENTRIES, key=key) for key in removed]
            changes += [Put(table=ENTRIES, key=_key(e), value=e.body) for e in written]
            note = f"rollback to generation {generation}"
            made = await services.wanted.commit(changes, note=note)
    found: Differences = await differences(services, before, after)
    shown = {"generation": generation, "revision": made, "dry_run": is_dry} | found.shown()
    return shown | ({"closes": await closes(services, found)} if is_dry else {})


def _require_writes(
    call: Call, state: State, written: Iterable[Checked], removed: Iterable[str]
) -> None:
    """What whoever changed each of them by itself would need. Raises ApiError (403)."""
    for entry in written:
        call.require(entry_write(entry.kind, entry.name, entry.body))
    for record in (state.get(ENTRIES, key) for key in removed):
        if record is not None:
            call.require(entry_write(record.value["Kind"], record.value["Name"], record.value))


def _end(
    state: State, written: list[Checked], removed: list[str]
) -> tuple[State, tuple[Problem, ...]]:
    """What the way leads to, and the rules that are broken there."""
    return with_entries(state, written, removed), broken_by(state, written, removed)


def _way(state: State, revision: int) -> tuple[list[Checked], list[str]]:
    """What to write and what to remove. Raises ApiError: 404, or 409 for what would not be valid today."""
    wanted = _entries(state, revision)
    present = present_entries(state)
    written, problems = [], []
    for diff in entry_diffs(present, wanted):
        body = wanted.get(entry_key(diff.kind, diff.name))
        if body is not None:
            checked, wrong, _ = check_entry(body, legacy=True)
            problems += [_of(problem, diff.kind, diff.name) for problem in wrong]
            written += [checked] if checked else []
    if problems:
        raise refuse(409, problems)
    return written, sorted(present.keys() - wanted.keys())


def _of(problem: Problem, kind: str, name: str) -> Problem:
    return msgspec.structs.replace(problem, path=f"{kind}/{name}: {problem.path}")


def _key(entry: Checked) -> str:
    return entry_key(entry.kind, entry.name)


def _entries(state: State, revision: int) -> Bodies:
    try:
        return entries_at(state, revision)
    except NotKept as error:
        raise ApiError(404, str(error)) from None


def _at(state: State, revision: int) -> State:
    """`state` with the entries of an earlier revision, whatever they are worth today."""
    wanted = _entries(state, revision)
    written = [Checked(kind=b["Kind"], name=b["Name"], body=b) for b in wanted.values()]
    return with_entries(state, written, present_entries(state).keys() - wanted.keys())


async def _revisions(call: Call) -> dict[int, int]:
    """The last commit that each kept generation takes in."""
    return {one.generation: one.revision for one in await call.services.history.list()}


async def _published(call: Call, generation: int) -> Snapshot | None:
    """What was published under this number, if it is kept and can be read; 0 is what is published now."""
    history = call.services.history
    if not generation:
        generation = max((one.generation for one in await history.list()), default=0)
    try:
        stored = await history.get(generation)
    except StoreError:
        return None
    return None if stored is None else await trio.to_thread.run_sync(_decoded, stored)


def _decoded(stored: StoredSnapshot) -> Snapshot | None:
    try:
        return decode_snapshot(stored.encoded, stored.published.digest)
    except SnapshotRejected:
        return None  # an older version wrote it


def _number(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > _SMALL:
        raise ApiError(400, f"{name!r} must be a generation, not {text[:40]!r}")
    return int(text)


ROUTES = (
    at("/v1/lockgate/history", GET=Do(answer=_history, needs=operator_read)),
    at("/v1/lockgate/diff", GET=Do(answer=_diff, needs=operator_read)),
    at("/v1/lockgate/rollback", PUT=Do(answer=_rollback, needs=in_answer)),
)
