"""What is wrong with a message.  ●

Belongs here: the errors. Never here: what is answered (`answers`).
"""

from cluster.errors import LockgateError


class BadRequest(LockgateError):
    """A request that nobody may be asked to understand: answered with `status`, and the connection closed."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.why = why
        self.status = status


class SpeaksHttp2(LockgateError):
    """A caller that began as HTTP/2 begins; nothing of that was taken."""


class BadResponse(LockgateError):
    """An upstream's answer that is not HTTP/1.1, or means two things at once."""
