"""What is wrong with a connection or a stream of HTTP/2.  ●

Belongs here: the errors. Never here: what is sent because of one (`conversation`, `serving`).
"""

from h2.errors import ErrorCodes

from cluster.errors import LockgateError


class Broken(LockgateError):
    """The connection cannot go on: GOAWAY with `code` says so (RFC 9113 section 5.4.1)."""

    def __init__(self, code: ErrorCodes, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


class Malformed(LockgateError):
    """A message that is none (RFC 9113 section 8.1.1): its stream is reset, and others go on."""
