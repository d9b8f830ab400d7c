"""Keeping N worker processes alive: start, watch, start again, and let them go in the end.

Belongs here: obeying the restart policy. Never here: the policy (`worker.node.restarts`) or single
processes (`worker.node.processes`).

Stopping is cancelling `keep`: then nothing is started any more, and the processes go on until `let_go`.
"""

import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog
import trio

from cluster.process.exits import BUG

from . import restarts
from .fleet import Fleet
from .processes import Identity, Process, find, identify, read_records, write_records

_log = structlog.get_logger(__name__)


class Workers:
    """The processes of a fleet. `spawn` starts the worker of an index and raises OSError."""

    def __init__(
        self,
        fleet: Fleet,
        spawn: Callable[[int], Process],
        records: Path,
        policy: restarts.Policy | None = None,
    ) -> None:
        self._fleet = fleet
        self._spawn = spawn
        self._records = records
        self._policy = policy or restarts.Policy()
        self._is_keeping = False

    def find_survivors(self) -> None:
        """Take up the workers that outlived the last node."""
        for index, identity in read_records(self._records).items():
            if (process := find(identity)) is not None:
                _log.info("a worker outlived its node", index=index, pid=process.pid)
                self._fleet.started(index, process)

    def take_up(self, index: int, pid: int) -> None:
        """Take up a worker that nobody noted: its node died between starting it and writing that down.

        Unknown, it would get no snapshots, and go on by an old policy beside the one started in its place.
        """
        if index >= self._fleet.size or self._fleet.member(index).process is not None:
            return
        identity = identify(pid)
        if identity is not None and (process := find(identity)) is not None:
            _log.warning("a worker that nobody noted is taken up", index=index, pid=pid)
            self._fleet.started(index, process)
            self._write_records()

    def give_up(self, index: int, pid: int) -> None:
        """Let go of a survivor that leaves, so that another is started beside it and not after it.

        Once `keep` runs it waits for the end of each, and starts the next one then.
        """
        process = self._fleet.member(index).process
        if not self._is_keeping and process is not None and process.pid == pid:
            process.close()
            self._fleet.ended(index)
            self._write_records()

    def survivors_are_back(self) -> bool:
        """Whether every living worker has opened its socket exchange with this node."""
        return all(m.presented for m in self._fleet.members.values() if m.process is not None)

    async def wait_for_survivors(self, *, at_most_seconds: float) -> None:
        """Give living workers the time to come back with their sockets."""
        with trio.move_on_after(at_most_seconds):
            while not self.survivors_are_back():
                await self._fleet.changes.after(self._fleet.changes.version)

    async def keep(self) -> None:
        """Keep one process for each index, for ever."""
        self._is_keeping = True
        async with trio.open_nursery() as nursery:
            for index in tuple(self._fleet.members):
                nursery.start_soon(self._keep, index)

    async def _keep(self, index: int) -> None:
        member = self._fleet.member(index)
        failures = 0
        while index < self._fleet.size or member.process is not None:
            if member.process is None:
                self._start(index)
            code = await self._watch(index)
            if index >= self._fleet.size:
                return  # of an earlier node with more workers
            restart = restarts.after_exit(
                code,
                alive_seconds=trio.current_time() - member.started_at,
                failures=failures,
                policy=self._policy,
            )
            failures = restart.failures
            member.restarts += 1
            self._tell(index, code, restart)
            await trio.sleep(restart.wait_seconds)

    def _start(self, index: int) -> None:
        try:
            process = self._spawn(index)
        except OSError as error:
            _log.error("a worker cannot be started", index=index, reason=str(error))
            self._fleet.member(index).started_at = trio.current_time()
            return
        _log.info("worker started", index=index, pid=process.pid)
        self._fleet.started(index, process)
        self._write_records()

    async def _watch(self, index: int) -> int | None:
        """Wait for the end of a worker; returns its exit status, None if that is not to be had."""
        process = self._fleet.member(index).process
        if process is None:
            return BUG
        code = await process.wait()
        process.close()
        self._fleet.ended(index)
        self._write_records()
        return code

    def _tell(self, index: int, code: int | None, restart: restarts.Restart) -> None:
        tell = _log.error if restart.loud else _log.warning
        tell(
            "worker ended",
            index=index,
            code=code,
            cause=restart.cause.value,
            failures=restart.failures,
            again_in_seconds=restart.wait_seconds,
        )

    def _write_records(self) -> None:
        """Without them a node after this one would start a second worker for an index."""
        members = self._fleet.members.values()
        identities: Mapping[int, Identity] = {
            member.index: member.process.identity
            for member in members
            if member.process is not None
        }
        try:
            write_records(self._records, identities)
        except OSError as error:
            _log.error("cannot note who works", file=str(self._records), reason=str(error))

    async def let_go(self) -> None:
        """Wait until every process has ended by itself. Only when `keep` has ended."""
        async with trio.open_nursery() as nursery:
            for member in self._fleet.members.values():
                if member.process is not None:
                    nursery.start_soon(self._watch, member.index)

    async def kill(self) -> None:
        """End what is left, now."""
        for member in self._fleet.members.values():
            if member.process is not None:
                _log.warning("worker killed", index=member.index, pid=member.process.pid)
                member.process.send(signal.SIGKILL)
        await self.let_go()
