"""How long a commit takes until the last connected node serves it.

Belongs here: who still lacks which generation, and the times that came out. Never here: what to do about it.

A node that takes a newer generation has the older one too: newest wins, so some are never sent. A node that
leaves is waited for no longer; what counts is the last answer of those who stayed. A generation that nobody
answered gives no value.
"""

import math
from dataclasses import dataclass, replace

from .actions import Converged

KEPT_VALUES = 512
#: A node that rejects everything would let the list grow; beyond this the oldest is given up.
KEPT_PENDING = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """One generation on its way."""

    generation: int
    committed: float
    waiting: frozenset[str]
    last_answer: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Convergence:
    """What is on its way, and the last values in seconds, oldest first."""

    pending: tuple[Pending, ...] = ()
    values: tuple[float, ...] = ()


_Step = tuple[Convergence, tuple[Converged, ...]]


def started(
    state: Convergence, *, generation: int, committed: float, waiting: frozenset[str]
) -> Convergence:
    """A generation was published and these nodes lack it."""
    if not waiting:
        return state
    added = Pending(generation=generation, committed=committed, waiting=waiting)
    return replace(state, pending=(*state.pending, added)[-KEPT_PENDING:])


def answered(state: Convergence, node: str, generation: int, now: float) -> _Step:
    """`node` has `generation`, and so all before it."""
    return _settle(
        state,
        tuple(
            replace(one, waiting=one.waiting - {node}, last_answer=now)
            if node in one.waiting and one.generation <= generation
            else one
            for one in state.pending
        ),
    )


def left(state: Convergence, node: str) -> _Step:
    """`node` is waited for no longer."""
    pending = tuple(replace(one, waiting=one.waiting - {node}) for one in state.pending)
    return _settle(state, pending)


def _settle(state: Convergence, pending: tuple[Pending, ...]) -> _Step:
    done = tuple(
        Converged(generation=one.generation, seconds=one.last_answer - one.committed)
        for one in pending
        if not one.waiting and one.last_answer is not None
    )
    values = (*state.values, *(one.seconds for one in done))[-KEPT_VALUES:]
    left_over = tuple(one for one in pending if one.waiting)
    return Convergence(pending=left_over, values=values), done


def percentile(values: tuple[float, ...], share: float) -> float | None:
    """The nearest-rank percentile, `share` from 0 to 1; None without values."""
    if not values:
        return None
    rank = math.ceil(round(len(values) * share, 6))  # 0.29 * 100 is a little more than 29
    return sorted(values)[max(rank, 1) - 1]
