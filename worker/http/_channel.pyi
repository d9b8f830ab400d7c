from typing import Final

from worker.net.leg import Leg

#: The most that one `receive` gives; if it did, there may be more.
FULL: Final[int]
NEEDED: Final[tuple[str, ...]]

def learn(functions: dict[str, int]) -> None: ...

class Channel:
    def __init__(self, leg: Leg) -> None: ...
    @property
    def descriptor(self) -> int: ...
    def receive(self) -> bytes | None:
        """All that has come, up to `FULL`; `b""` at the end in order, None for nothing yet. What comes after
        a `receive` of less than `FULL` is a new event of the socket. Raises `ConnectionResetError`.
        """

    def is_quiet(self) -> bool:
        """Whether nothing has come, not even an end. What has come is lost."""

    def send(self, data: bytes) -> int:
        """How many of these bytes, at least one, were taken. Raises `ConnectionResetError`."""
