"""What a client is told when its hello is refused: TLS alerts as bytes.  ●

Belongs here: alerts sent before any handshake, in plain text (RFC 8446 section 6). Alerts within a
handshake are OpenSSL's own. Never here: sending them (`worker.net.refuse`).
"""

from enum import IntEnum, unique

from cluster.reasons import HelloReject


@unique
class Description(IntEnum):
    """The alert descriptions that we look for or send; RFC 8446 section 6 and 6.2."""

    CLOSE_NOTIFY = 0
    HANDSHAKE_FAILURE = 40
    BAD_CERTIFICATE = 42
    CERTIFICATE_EXPIRED = 45
    CERTIFICATE_UNKNOWN = 46
    UNKNOWN_CA = 48
    INTERNAL_ERROR = 80
    UNRECOGNIZED_NAME = 112
    CERTIFICATE_REQUIRED = 116


_FATAL = 2


def alert(description: int) -> bytes:
    """A record with one fatal alert, as a server sends it before a version is agreed on."""
    return bytes((21, 3, 3, 0, 2, _FATAL, description))


#: Who does not speak TLS, or not in time, gets no byte; who does is told why, so that the reason
#: stands in the client's log.
_REFUSALS: dict[HelloReject, bytes] = {
    HelloReject.NOT_TLS: b"",
    HelloReject.MALFORMED: b"",
    HelloReject.TOO_LARGE: b"",
    HelloReject.TOO_MANY_RECORDS: b"",
    HelloReject.TIMEOUT: b"",
    HelloReject.CLOSED: b"",
    HelloReject.NO_SNI: alert(Description.UNRECOGNIZED_NAME),
    HelloReject.UNKNOWN_SNI: alert(Description.UNRECOGNIZED_NAME),
}


def refusal(reject: HelloReject) -> bytes:
    """What to send before closing; may be nothing."""
    return _REFUSALS[reject]
