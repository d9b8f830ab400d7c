from collections.abc import Callable

class Waiting:
    """Whoever has a descriptor watched: a turn (`_steps`)."""

class Called(Waiting):
    """A function that waits for an answer."""

    def __init__(self, call: Callable[[], None]) -> None: ...

class Rounds:
    """Descriptors are watched edge-triggered, from the first turn on: no system call per wait."""

    #: When this round began, by the clock; and what the clock is ahead of CLOCK_MONOTONIC.
    now: float
    offset: float
    #: How many answers have gone to a caller without a task.
    answered: int

    def __init__(self, clock: Callable[[], float]) -> None: ...
    def fileno(self) -> int: ...
    def tell_time(self) -> None:
        """Ask the clock, as at the beginning of each round."""

    def watch(self, descriptor: int, who: Waiting, is_answer: bool) -> None:
        """From now on whatever comes there is for `who`; also what has come already."""

    def expect(self, descriptor: int, who: Waiting | None) -> None:
        """What comes at this one, which is watched, is for `who` from now on; None: for nobody."""

    def forget(self, descriptor: int) -> None:
        """Somebody else waits for this one, while it is open."""

    def serve(self) -> bool:
        """Call whoever something has come for; whether there may be more."""
