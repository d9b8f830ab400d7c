"""What the kernel says about a process and all below it.

Belongs here: reading /proc. Never here: starting or ending a process (`processes`).
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def parent_and_cpu(stat: str) -> tuple[int, float]:
    """From the text of /proc/PID/stat: the parent, and CPU seconds with those of ended children (proc(5)).

    The second field is the name in parentheses, which may hold spaces and parentheses itself.
    """
    fields = stat.rpartition(")")[2].split()
    return int(fields[1]), sum(int(ticks) for ticks in fields[11:15]) / TICKS_PER_SECOND


def below(root: int, parents: dict[int, int]) -> tuple[int, ...]:
    """`root`, and every process whose line of parents leads to it."""
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return tuple(found)


def tree(root: int) -> tuple[int, ...]:
    """The process and all its descendants, now."""
    return below(root, {pid: parent for pid, parent, _ in _all()})


def cpu_seconds(roots: Iterable[int]) -> float:
    """User and system time of these trees, with that of children which ended and were waited for."""
    now = {pid: (parent, cpu) for pid, parent, cpu in _all()}
    parents = {pid: parent for pid, (parent, _) in now.items()}
    return sum(now[pid][1] for root in roots if root in now for pid in below(root, parents))


def busy_seconds() -> float:
    """CPU seconds that all cores together have spent on anything since the machine's start."""
    fields = [int(ticks) for ticks in (_PROC / "stat").read_text().splitlines()[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / TICKS_PER_SECOND


def resident_bytes(pids: Iterable[int]) -> int:
    """Their proportional set size (PSS): a page that n of them share counts n times one n-th."""
    return sum(_kilobytes(pid, "Pss:") for pid in pids) * 1024


def descriptors(pid: int) -> int:
    """How many it has open."""
    return len(os.listdir(_PROC / str(pid) / "fd"))


def command(pid: int) -> str:
    """Its command line, with blanks."""
    return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()


def _kilobytes(pid: int, key: str) -> int:
    for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1])
    raise KeyError(key)


def _all() -> Iterator[tuple[int, int, float]]:
    for entry in os.listdir(_PROC):
        if entry.isdigit():
            try:
                stat = (_PROC / entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
            yield int(entry), *parent_and_cpu(stat)
