"""Writing configuration entries: check-and-set, the rules between entries, one commit.

Belongs here: the one way in which an entry is written or deleted. Never here: the rules of one entry alone
(`coordinator.entries`), or HTTP parameters.

What a write would leave behind is judged against what is there under a lock, so that two writes that are
sound each by itself cannot break a rule together. A write is only blamed for what it breaks itself.
"""

from collections.abc import Iterable

from cluster.chain.entries import Body
from cluster.errors import Problem
from coordinator.entries.cross import Index, Key, judge
from coordinator.entries.entry import Checked
from coordinator.store.records import Change, Conflict, Delete, Expect, Put
from coordinator.store.state import State
from coordinator.store.tables import ENTRIES

from .answers import refuse
from .services import Services


def entry_key(kind: str, name: str) -> str:
    return f"{kind}/{name}"


async def put_entry(services: Services, entry: Checked, *, cas: int | None = None) -> bool:
    """Write a valid entry. False: the check-and-set was lost. Raises ApiError (500), StoreError."""
    async with services.writes:
        return await put_entry_locked(services, entry, cas=cas)


async def delete_entry(services: Services, kind: str, name: str, *, cas: int | None = None) -> bool:
    """Delete an entry, which may be absent. False: the check-and-set was lost."""
    async with services.writes:
        return await delete_entry_locked(services, kind, name, cas=cas)


async def put_entry_locked(services: Services, entry: Checked, *, cas: int | None = None) -> bool:
    """`put_entry` for a caller that holds the lock already."""
    key = entry_key(entry.kind, entry.name)
    return await _write(services, Put(table=ENTRIES, key=key, value=entry.body), cas)


async def delete_entry_locked(
    services: Services, kind: str, name: str, *, cas: int | None = None
) -> bool:
    """`delete_entry` for a caller that holds the lock already."""
    return await _write(services, Delete(table=ENTRIES, key=entry_key(kind, name)), cas)


def judge_entries(services: Services, changes: Iterable[Change]) -> None:
    """For a caller that holds the lock and goes on to commit these changes of entries together.

    Raises ApiError (500, as Consul) with the rules that they would break.
    """
    broken = judge(services.entries, _bodies(changes))
    if broken:
        raise refuse(500, broken)


async def _write(services: Services, change: Change, cas: int | None) -> bool:
    if cas is not None and cas != _index(services.wanted.state, change.key):
        return False
    judge_entries(services, (change,))
    expect = () if cas is None else (Expect(table=ENTRIES, key=change.key, modify_index=cas),)
    try:
        await services.wanted.commit((change,), expect)
    except Conflict:
        return False
    return True


def _index(state: State, key: str) -> int:
    record = state.get(ENTRIES, key)
    return record.modify_index if record else 0


def broken_by(
    state: State, written: Iterable[Checked], removed: Iterable[str] = ()
) -> tuple[Problem, ...]:
    """The rules that these writes and removals, by key, would break together in any state. It reads all
    entries; what is about to be committed to the present one asks `judge_entries`.
    """
    changes: list[Change] = [Delete(table=ENTRIES, key=key) for key in removed]
    changes += [Put(table=ENTRIES, key=entry_key(e.kind, e.name), value=e.body) for e in written]
    index = Index(record.value for record in state.table(ENTRIES).values())
    return judge(index, _bodies(changes))


def _bodies(changes: Iterable[Change]) -> dict[Key, Body | None]:
    bodies: dict[Key, Body | None] = {}
    for change in changes:
        kind, _, name = change.key.partition("/")
        bodies[kind, name] = change.value if isinstance(change, Put) else None
    return bodies
