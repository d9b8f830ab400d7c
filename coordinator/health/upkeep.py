"""What is due by the clock or follows from another check: expiry, aliases, deregistration, late outputs.

Belongs here: waiting, and committing what the pure modules beside this one decide. Never here: a decision.
TTL checks are those of the coordinator's own node, on which alone `/v1/agent` takes reports.
"""

import structlog
import trio

from coordinator.catalog_changes import service_removal
from coordinator.catalog_index import CatalogIndex, node_of
from coordinator.store.records import Change, Put, Record, StoreError
from coordinator.store.tables import CHECKS
from coordinator.store.wanted import Wanted

from .aliases import changed_aliases
from .heartbeats import EXPIRED, Heartbeats
from .reaper import Reaper

log = structlog.get_logger()

#: Consul's `check_update_interval`: for how long a change of the output alone may wait.
OUTPUT_SECONDS = 300.0
#: The rest between two looks at all checks, however often they change.
_REST_SECONDS = 0.1
_RETRY_SECONDS = 1.0


class Upkeep:
    """The checks of one coordinator. `writes` is held from a look at the state to its commit."""

    def __init__(
        self,
        wanted: Wanted,
        catalog: CatalogIndex,
        writes: trio.Lock,
        heartbeats: Heartbeats,
        *,
        node: str,
    ) -> None:
        self._wanted = wanted
        self._catalog = catalog
        self._writes = writes
        self._heartbeats = heartbeats
        self._reaper = Reaper()
        self._node = node

    async def run(self) -> None:
        """Work until cancelled. A store that fails is tried again."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._look_for_ever)
            nursery.start_soon(self._write_outputs_for_ever)

    async def _look_for_ever(self) -> None:
        while True:
            try:
                index, again = await self._look()
            except StoreError as error:
                log.error("checks are not kept up", error=str(error))
                await trio.sleep(_RETRY_SECONDS)
                continue
            await trio.sleep(_REST_SECONDS)
            left = max(again - trio.current_time(), 0.0)
            await self._wanted.wait_past(index, tables=(CHECKS,), timeout_seconds=left)

    async def _look(self) -> tuple[int, float]:
        """Do all that is due; the index that was looked at, and when to look again."""
        async with self._writes:
            state, now = self._wanted.state, trio.current_time()
            watched = self._catalog.watched()
            own = (check for check in watched if node_of(check) == self._node)
            late, expiry = self._heartbeats.overdue(own, now)
            changes: list[Change] = [self._expired(check) for check in late]
            changes += [_put(*alias) for alias in changed_aliases(self._catalog, watched)]
            gone, reaping = self._reaper.due(watched, now)
            for node, service in gone:
                log.info("deregistered, critical for too long", node=node, service=service)
                changes += service_removal(state, node, service)
            index = state.table_index(CHECKS)
            with self._heartbeats.writing(check.key for check in late):
                await self._wanted.commit(changes)
        return index, min(expiry, reaping)

    def _expired(self, check: Record) -> Change:
        log.info("TTL expired", check=check.key)
        said = self._heartbeats.output(check)
        tail = f" (last output before timeout follows): {said}" if said else ""
        return _put(check, "critical", EXPIRED + tail)

    async def _write_outputs_for_ever(self) -> None:
        while True:
            await trio.sleep(OUTPUT_SECONDS)
            try:
                await self._write_outputs()
            except StoreError as error:
                log.error("outputs of checks are not written", error=str(error))

    async def _write_outputs(self) -> None:
        async with self._writes:
            state = self._wanted.state
            outputs = self._heartbeats.take_outputs()
            found = ((state.get(CHECKS, key), output) for key, output in outputs.items())
            await self._wanted.commit(
                [_put(check, check.value["Status"], output) for check, output in found if check]
            )


def _put(check: Record, status: str, output: str) -> Change:
    return Put(
        table=CHECKS, key=check.key, value=check.value | {"Status": status, "Output": output}
    )
