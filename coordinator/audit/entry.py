"""One mutating call in the audit log: begun, before anything is changed, and ended.

Belongs here: what its lines say. Never here: the file (`log`), or which calls are mutating (`api.endpoint`).

The first commit of a call is preceded by a durable line that says who is about to change which records, with
digests before and after; so is each further one. The line at the end has the status. A call that changes
nothing in the store has that last line alone. A `begun` without an end was cut off by a crash.
"""

import secrets
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

from coordinator.store.settle import Effect
from coordinator.store.state import State

from .changes import changes_of, shown


class Lines(Protocol):
    """See `coordinator.audit.log.AuditLog`."""

    async def append_durably(self, line: dict[str, Any]) -> None: ...

    async def append(self, line: dict[str, Any]) -> None: ...

    async def require_writable(self) -> None: ...


@dataclass(slots=True, kw_only=True)
class Entry:
    """One call. `source` is where it came from, `clock` tells seconds since 1970."""

    lines: Lines
    clock: Callable[[], float]
    method: str
    path: str
    source: str
    who: str = "nobody known"
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    changes: list[dict[str, Any]] = field(default_factory=list)

    async def begin(self, effect: Effect, state: State) -> None:
        """Announce what is about to be committed. Raises AuditError: then it must not be."""
        found = changes_of(effect, state)
        if found:
            await self.lines.append_durably(self._line("begun") | shown(found))
            self.changes += found

    async def end(self, status: int) -> None:
        """Tell the outcome, as an HTTP status; 0 when the call was cut off."""
        await self.lines.append(self._line("ended") | {"status": status} | shown(self.changes))

    def _line(self, state: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "at": round(self.clock(), 3),
            "state": state,
            "who": self.who,
            "from": self.source,
            "method": self.method,
            "path": self.path,
        }


#: The call that the running task works for, if it is a mutating one.
ENTRY: ContextVar[Entry | None] = ContextVar("audit_entry", default=None)


async def announce(effect: Effect, state: State) -> None:
    """What the wanted state calls before each commit. Raises AuditError."""
    entry = ENTRY.get()
    if entry is not None:
        await entry.begin(effect, state)
