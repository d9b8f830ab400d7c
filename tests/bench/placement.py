"""Who runs on which cores, so that one process means one core, whatever the scheduler fancies.

Belongs here: splitting the cores, and moving processes. Never here: whether to (`measure`).

Left alone, the scheduler puts proxy, generator and upstream sometimes on one core and sometimes on two, and
new connections per second differ by half.
"""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """`subject` is for what is measured, `load` for generator and upstream."""

    subject: frozenset[int]
    load: frozenset[int]


def split(available: Iterable[int], *, shared: bool) -> Cores:
    """One for the subject, the others for the load; all for both if `shared`, or if there is only one."""
    cores = sorted(available)
    if shared or len(cores) < 2:
        return Cores(subject=frozenset(cores), load=frozenset(cores))
    return Cores(subject=frozenset(cores[-1:]), load=frozenset(cores[:-1]))


def move(pids: Iterable[int], cores: frozenset[int]) -> None:
    """All threads of these processes; threads that they start inherit it."""
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for thread in os.listdir(Path("/proc") / str(pid) / "task"):
                os.sched_setaffinity(int(thread), cores)
