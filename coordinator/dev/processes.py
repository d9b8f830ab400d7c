"""The two daemons of a development cluster: started by exec, started again when they die.

Belongs here: their life. Never here: what they are told (`places`, `wanted`).

Each runs in a session of its own, so that Ctrl-C reaches `dev` alone, which then ends them in order. All hold
the read end of a pipe (the tether); when `dev` is gone, however it went, they see its end of file and leave.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

import structlog
import trio

from cluster.errors import LockgateError
from cluster.process.exits import COULD_NOT_BOOT

log = structlog.get_logger()

_RESTART_SECONDS = 0.3


class CouldNotBoot(LockgateError):
    """A daemon says that starting it again is of no use."""


class Tether:
    """A pipe whose write end only this process holds."""

    def __init__(self) -> None:
        self.read_end, self._write_end = os.pipe()
        os.set_inheritable(self.read_end, True)

    def cut(self) -> None:
        """Let go of both ends: whoever is still there leaves now."""
        os.close(self._write_end)
        os.close(self.read_end)


class Daemon:
    """One daemon by its module's name; `pid` is the one that runs now."""

    def __init__(self, name: str, module: str, arguments: Sequence[str], tether: Tether) -> None:
        self.name = name
        self._command = [sys.executable, "-I", "-m", module, *arguments]
        self._command += ["--tether", str(tether.read_end)]
        self._tether = tether
        self._process: trio.Process | None = None
        self._ending = False

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    async def start(self) -> None:
        """Exec it. Raises OSError."""
        self._process = await trio.lowlevel.open_process(
            self._command,
            stdin=subprocess.DEVNULL,
            pass_fds=(self._tether.read_end,),
            start_new_session=True,
        )

    async def keep(self) -> None:
        """Watch it for ever and start it again whenever it ends. Raises `CouldNotBoot`."""
        while True:
            assert self._process is not None
            status = await self._process.wait()
            if self._ending:
                return
            if status == COULD_NOT_BOOT:
                raise CouldNotBoot(f"the {self.name} could not start; its reason stands above")
            log.warning("started again", daemon=self.name, exit_status=status)
            await trio.sleep(_RESTART_SECONDS)
            await self.start()

    async def stop(self, grace_seconds: float) -> None:
        """Ask it to end, wait, then make it."""
        self._ending = True
        process = self._process
        if process is None:
            return
        for number, seconds in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, 5.0)):
            with suppress(ProcessLookupError):
                process.send_signal(number)
            with trio.move_on_after(seconds):
                await process.wait()
                return
