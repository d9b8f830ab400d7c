"""Active checks: telling nodes what to probe, and writing what follows from what they find.

Belongs here: the way of probes to nodes and of verdicts into the catalog. Never here: a decision (`probes`,
`verdicts`), or the bus: `send` is handed in.

A node hears of its probes when they change and when it says Hello. What one host asks about for all goes to
another within seconds when that host is gone. A verdict counts only if its node was told to probe the check.
A status is written when it changes; an output alone only every five minutes.
"""

from collections.abc import Callable, Iterable

import structlog
import trio

from cluster.catalog import Health
from cluster.errors import LockgateError
from cluster.messages import Message, Probes, Verdicts
from cluster.probes import Probe, shortened
from coordinator.store.records import Change, Put, Record, StoreError
from coordinator.store.state import State
from coordinator.store.tables import CHECKS, ENTRIES, NODES, SERVICES
from coordinator.store.wanted import Wanted

from .probes import Assigned, Thresholds, asked_for, assigned, thresholds_of
from .verdicts import Run, after, is_fresh, joined

log = structlog.get_logger()

_TABLES = (ENTRIES, NODES, SERVICES)
OUTPUT_SECONDS = 300.0
#: The rest between two looks at the catalog, however often it changes, and between two writes of verdicts.
_REST_SECONDS = 1.0
_WRITE_REST_SECONDS = 0.25
_RETRY_SECONDS = 1.0


class Probing:
    """The active checks of one coordinator. `send` raises LockgateError for a node that is away.

    `connected` gives the names of the nodes that are there.
    """

    def __init__(
        self,
        wanted: Wanted,
        writes: trio.Lock,
        send: Callable[[str, Message], None],
        connected: Callable[[], tuple[str, ...]],
    ) -> None:
        self._wanted = wanted
        self._writes = writes
        self._send = send
        self._connected = connected
        self._assigned = Assigned(by_node={}, refused={})
        self._asked: tuple[int, object] = (-1, None)
        self._probes: dict[str, dict[str, Probe]] = {}  # by check, then by node
        self._told: dict[str, tuple[Probe, ...]] = {}
        self._runs: dict[str, dict[str, Run]] = {}  # as the probes
        self._written_at: dict[str, float] = {}
        self._touched: set[str] = set()
        self._heard = trio.Event()

    async def run(self) -> None:
        """Work until cancelled. A store that fails is tried again."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._assign_for_ever)
            nursery.start_soon(self._write_for_ever)

    # Down: what to probe.

    def greeted(self, node: str) -> None:
        """A node has begun a conversation, and so probes nothing."""
        self._told.pop(node, None)
        self._tell(node)

    async def _assign_for_ever(self) -> None:
        """Look once a second whether the catalog, or who is connected, has changed."""
        seen = None
        while True:
            state, connected = self._wanted.state, self._connected()
            index = max(state.table_index(table) for table in _TABLES)
            now = (index, connected, self._asked_for(state))
            if now != seen:
                self._assign(assigned(state, connected))
            seen = now
            await trio.sleep(_REST_SECONDS)

    def _asked_for(self, state: State) -> object:
        """What is asked for by checks, found out again when one has changed."""
        index = state.table_index(CHECKS)
        if self._asked[0] != index:
            self._asked = (index, asked_for(state))
        return self._asked[1]

    def _assign(self, new: Assigned) -> None:
        for key in new.refused.keys() - self._assigned.refused.keys():
            log.warning("a check is not probed", check=key, reason=new.refused[key])
        self._assigned = new
        self._probes = {}
        for node, probes in new.by_node.items():
            for probe in probes:
                self._probes.setdefault(probe.check, {})[node] = probe
        for node in self._told.keys() | new.by_node.keys():
            self._tell(node)
        self._forget()

    def _tell(self, node: str) -> None:
        probes = self._assigned.by_node.get(node, ())
        if probes == self._told.get(node, ()):
            return
        try:
            self._send(node, Probes(probes=probes))
        except LockgateError:
            return  # it is told when it says Hello
        self._told[node] = probes

    def _forget(self) -> None:
        """Runs of checks, and of hosts, that are not to be probed any more."""
        kept: dict[str, dict[str, Run]] = {}
        for key, runs in self._runs.items():
            if here := {n: run for n, run in runs.items() if n in self._probes.get(key, ())}:
                kept[key] = here
        self._runs = kept
        self._written_at = {key: at for key, at in self._written_at.items() if key in kept}

    # Up: what was found.

    def heard(self, node: str, verdicts: Verdicts) -> None:
        """A node has probed."""
        now = trio.current_time()
        for verdict in verdicts.verdicts:
            check = self._wanted.state.get(CHECKS, verdict.check)
            if check is None or node not in self._probes.get(verdict.check, ()):
                continue
            runs = self._runs.setdefault(verdict.check, {})
            limits = _thresholds(check)
            runs[node] = after(runs.get(node, Run()), verdict, limits, now)
            self._touched.add(verdict.check)
        self._heard.set()

    async def _write_for_ever(self) -> None:
        while True:
            await self._heard.wait()
            self._heard = trio.Event()
            touched, self._touched = self._touched, set()
            try:
                await self._write(touched)
            except StoreError as error:
                log.error("verdicts are not written", error=str(error))
                self._touched |= touched
                self._heard.set()
                await trio.sleep(_RETRY_SECONDS)
            await trio.sleep(_WRITE_REST_SECONDS)

    async def _write(self, touched: Iterable[str]) -> None:
        now = trio.current_time()
        async with self._writes:
            found = ((key, self._joined(key, now)) for key in sorted(touched))
            changes = [
                change
                for key, joint in found
                if joint is not None and (change := self._change(key, *joint, now)) is not None
            ]
            if changes:
                await self._wanted.commit(changes)
        self._written_at |= {change.key: now for change in changes}

    def _joined(self, key: str, now: float) -> tuple[Health, str] | None:
        probes, runs = self._probes.get(key, {}), self._runs.get(key, {})
        return joined(run for node, run in sorted(runs.items()) if is_fresh(run, probes[node], now))

    def _change(self, key: str, status: Health, output: str, now: float) -> Change | None:
        check = self._wanted.state.get(CHECKS, key)
        if check is None:
            return None
        output = shortened(output)
        same = check.value["Status"] == status.value
        late = now - self._written_at.get(key, float("-inf")) >= OUTPUT_SECONDS
        if same and (output == check.value.get("Output", "") or not late):
            return None
        if not same:
            log.info("a check changed", check=key, status=status.value)
        return Put(
            table=CHECKS, key=key, value=check.value | {"Status": status.value, "Output": output}
        )


def _thresholds(check: Record) -> Thresholds:
    try:
        return thresholds_of(check)
    except ValueError:
        return Thresholds()
