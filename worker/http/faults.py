"""What is wrong with a message.  ●

Belongs here: the two errors. Never here: what is answered (`answers`).
"""

from cluster.errors import LockgateError


class BadRequest(LockgateError):
    """A request that nobody may be asked to understand: answered with `status`, and the connection closed."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.why = why
        self.status = status


class BadResponse(LockgateError):
    """An upstream's answer that is not HTTP/1.1, or means two things at once."""
