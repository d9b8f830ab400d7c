"""The node's prober: a process beside it that asks strangers how they are (`worker.prober`).

Belongs here: having one while there is something to probe, and passing on what it says. Never here: parsing
anything but its lines. A prober that ends is started again, later each time; one that says what is no verdict
is ended.
"""

import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import msgspec
import structlog
import trio

from cluster.messages import Verdicts
from cluster.probes import Probe, Verdict
from worker.prober.lines import MAX_VERDICT_BYTES, Lines, probes_line, read_verdict

COMMAND = (sys.executable, "-I", "-m", "worker.prober")
#: How long verdicts are collected before they are sent, and how many go into one message.
COLLECT_SECONDS = 0.5
MOST_PER_MESSAGE = 500
#: A prober without anything to probe is kept so long: each conversation with a coordinator begins so.
SPARE_SECONDS = 10.0
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 1.0, 60.0

_log = structlog.get_logger(__name__)


class Probing:
    """`wanted` says what to probe; `say` gets what was found. At most one process at a time."""

    def __init__(
        self, say: Callable[[Verdicts], Awaitable[None]], command: Sequence[str] = COMMAND
    ) -> None:
        self._say = say
        self._command = command
        self._probes: tuple[Probe, ...] = ()
        self._changed = trio.Event()
        #: Bounded: where nobody takes verdicts, the prober waits.
        self._found, self._to_say = trio.open_memory_channel[Verdict](MOST_PER_MESSAGE)

    def wanted(self, probes: tuple[Probe, ...]) -> None:
        """Probe these from now on."""
        if probes != self._probes:
            self._probes = probes
            self._changed.set()

    async def run(self) -> None:
        """Have a prober whenever there is something to probe, until cancelled."""
        wait = _FIRST_WAIT_SECONDS
        while True:
            while not self._probes:
                await self._changed.wait()
                self._changed = trio.Event()
            began = trio.current_time()
            await self._have_one()
            if self._probes:
                if trio.current_time() - began > _LONGEST_WAIT_SECONDS:
                    wait = _FIRST_WAIT_SECONDS
                _log.error("the prober ended", again_in_seconds=wait)
                await trio.sleep(wait)
                wait = min(2 * wait, _LONGEST_WAIT_SECONDS)

    async def _have_one(self) -> None:
        """Start a prober; returns when it has ended, or has had nothing to do for a while."""
        try:
            process = await trio.lowlevel.open_process(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            _log.error("a prober cannot be started", reason=str(error))
            return
        _log.info("prober started", pid=process.pid)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._tell, process, nursery)
                nursery.start_soon(self._pass_on)
                await self._listen(process)
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await _end(process)

    async def _tell(self, process: trio.Process, nursery: trio.Nursery) -> None:
        """Say what to probe, each time that it changes."""
        assert process.stdin is not None
        with suppress(trio.BrokenResourceError):  # it has ended, as `_listen` sees
            while True:
                self._changed = trio.Event()
                await process.stdin.send_all(probes_line(self._probes))
                if not self._probes and not await self._wanted_soon():
                    nursery.cancel_scope.cancel()
                    return
                await self._changed.wait()

    async def _wanted_soon(self) -> bool:
        with trio.move_on_after(SPARE_SECONDS):
            await self._changed.wait()
        return bool(self._probes)

    async def _listen(self, process: trio.Process) -> None:
        assert process.stdout is not None
        lines = Lines(MAX_VERDICT_BYTES)
        try:
            async for data in process.stdout:
                for line in lines.feed(data):
                    await self._found.send(read_verdict(line))
        except (ValueError, msgspec.DecodeError) as error:
            _log.error("the prober says what is no verdict", reason=str(error))

    async def _pass_on(self) -> None:
        while True:
            found = [await self._to_say.receive()]
            await trio.sleep(COLLECT_SECONDS)
            with suppress(trio.WouldBlock):
                while len(found) < MOST_PER_MESSAGE:
                    found.append(self._to_say.receive_nowait())
            await self._say(Verdicts(verdicts=tuple(found)))


async def _end(process: trio.Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)  # it holds nothing that could be lost
    await process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            await pipe.aclose()
