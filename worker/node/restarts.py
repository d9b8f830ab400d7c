"""When a worker that has ended is started again.  ●

Belongs here: the policy, as values. Never here: processes or sleeping (`worker.node.workers`).

Exit codes are few and named. A worker that was asked to stop by somebody else is replaced at once; a bug
backs off, as a worker that dies at each start would take the host with it; a worker that could not boot
would fail in the same way again, so it waits long.
"""

import signal
from dataclasses import dataclass
from enum import Enum, unique

from cluster.process.exits import ASKED_TO_STOP, COULD_NOT_BOOT


@unique
class Cause(Enum):
    """Why a worker ended, as an operator reads it."""

    STOPPED = "it was asked to stop by somebody else"
    CRASHED = "it crashed"
    KILLED = "it was killed: by somebody, or by the kernel for want of memory"
    COULD_NOT_BOOT = "it could not boot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Waits grow from `first_wait_seconds`, doubling; a life of `calm_seconds` forgives all.

    More than `budget` failures in a row are loud: somebody has to look.
    """

    first_wait_seconds: float = 0.1
    longest_wait_seconds: float = 10.0
    calm_seconds: float = 60.0
    boot_wait_seconds: float = 60.0
    budget: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """What to do now; `failures` is to be handed in again after the next end."""

    cause: Cause
    wait_seconds: float
    failures: int
    loud: bool


def after_exit(
    code: int | None, *, alive_seconds: float, failures: int, policy: Policy = Policy()
) -> Restart:
    """What follows the end of a worker that lived so long, after `failures` short lives before it.

    `code` is its exit status, negative for a signal, None if unknown: it was another process's child.
    """
    earlier = 0 if alive_seconds >= policy.calm_seconds else failures
    cause = _cause(code)
    if cause is Cause.COULD_NOT_BOOT:
        return Restart(
            cause=cause, wait_seconds=policy.boot_wait_seconds, failures=earlier + 1, loud=True
        )
    if cause is Cause.STOPPED and alive_seconds >= policy.first_wait_seconds:
        return Restart(cause=cause, wait_seconds=0.0, failures=earlier, loud=False)
    return Restart(
        cause=cause,
        wait_seconds=_wait_seconds(earlier, policy),
        failures=earlier + 1,
        loud=earlier >= policy.budget,
    )


def _cause(code: int | None) -> Cause:
    if code == ASKED_TO_STOP:
        return Cause.STOPPED
    if code == -signal.SIGKILL:
        return Cause.KILLED
    return Cause.COULD_NOT_BOOT if code == COULD_NOT_BOOT else Cause.CRASHED


def _wait_seconds(failures: int, policy: Policy) -> float:
    doublings = min(failures, 32)  # a float would overflow after a thousand crashes
    return min(policy.first_wait_seconds * 2.0**doublings, policy.longest_wait_seconds)
