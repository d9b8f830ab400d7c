"""Writing configuration entries: check-and-set, the rules between entries, one commit.

Belongs here: the one way in which an entry is written or deleted. Never here: the rules of one entry alone
(`coordinator.entries`), or HTTP parameters.

What a write would leave behind is judged against what is there under a lock, so that two writes that are
sound each by itself cannot break a rule together. A write is only blamed for what it breaks itself.
"""

from collections.abc import Iterable

from cluster.errors import Problem
from coordinator.entries.cross import cross_problems
from coordinator.entries.entry import Checked
from coordinator.store.records import Change, Conflict, Delete, Expect, Put, Record
from coordinator.store.state import State
from coordinator.store.tables import ENTRIES

from .answers import refuse
from .services import Services


def entry_key(kind: str, name: str) -> str:
    return f"{kind}/{name}"


def checked_of(record: Record) -> Checked:
    """The stored entry as the rules between entries take it."""
    return Checked(kind=record.value["Kind"], name=record.value["Name"], body=record.value)


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
    change = Put(table=ENTRIES, key=key, value=entry.body)
    return await _write(services, change, (entry,), cas)


async def delete_entry_locked(
    services: Services, kind: str, name: str, *, cas: int | None = None
) -> bool:
    """`delete_entry` for a caller that holds the lock already."""
    change = Delete(table=ENTRIES, key=entry_key(kind, name))
    return await _write(services, change, (), cas)


async def _write(
    services: Services, change: Change, written: tuple[Checked, ...], cas: int | None
) -> bool:
    state = services.wanted.state
    if cas is not None and cas != _index(state, change.key):
        return False
    _judge(state, change.key, written)
    expect = () if cas is None else (Expect(table=ENTRIES, key=change.key, modify_index=cas),)
    try:
        await services.wanted.commit((change,), expect)
    except Conflict:
        return False
    return True


def _index(state: State, key: str) -> int:
    record = state.get(ENTRIES, key)
    return record.modify_index if record else 0


def _judge(state: State, key: str, written: Iterable[Checked]) -> None:
    """Raises ApiError (500, as Consul) with the rules that would be broken and are not yet."""
    if broken := broken_by(state, written, (key,)):
        raise refuse(500, broken)


def broken_by(
    state: State, written: Iterable[Checked], removed: Iterable[str] = ()
) -> tuple[Problem, ...]:
    """The rules that these writes and removals, by key, would break together and that hold now."""
    written = tuple(written)
    away = {*removed, *(entry_key(entry.kind, entry.name) for entry in written)}
    present = {at: checked_of(record) for at, record in state.table(ENTRIES).items()}
    others = [entry for at, entry in present.items() if at not in away]
    before = set(cross_problems(present.values()))
    return tuple(p for p in cross_problems((*others, *written)) if p not in before)
