"""Why a connection ended, and why a hello was refused: the closed lists that become metric labels.

Belongs here: every reason a connection can end for, each with what an operator should look at.
Never here: how an ending is brought about, or any text that a client chose.
"""

from enum import StrEnum, unique


@unique
class End(StrEnum):
    """Why one connection is over; the `end` label of `lockgate_connections_closed_total`."""

    # While carrying bytes.
    FINISHED = "finished"
    CLIENT_RESET = "client_reset"
    UPSTREAM_RESET = "upstream_reset"
    IDLE_TIMEOUT = "idle_timeout"
    MAX_AGE = "max_age"
    # Before the route was known.
    BAD_HELLO = "bad_hello"
    HELLO_TIMEOUT = "hello_timeout"
    NO_ROUTE = "no_route"
    # Between the caller and the gateway.
    HANDSHAKE_FAILED = "handshake_failed"
    HANDSHAKE_TIMEOUT = "handshake_timeout"
    CLIENT_CERTIFICATE = "client_certificate"
    DENIED = "denied"
    BAD_REQUEST = "bad_request"
    # Between the gateway and the destination.
    NO_ENDPOINT = "no_endpoint"
    DIAL_REFUSED = "dial_refused"
    DIAL_TIMEOUT = "dial_timeout"
    UPSTREAM_TLS = "upstream_tls"
    # Decided by us.
    INTENTION_REVOKED = "intention_revoked"
    CERTIFICATE_EXPIRED = "certificate_expired"
    ROOT_DISTRUSTED = "root_distrusted"
    CLOSED_BY_OPERATOR = "closed_by_operator"
    DRAINED = "drained"
    OVERLOAD = "overload"
    INTERNAL = "internal"


#: For each ending, what an operator should look at. Documentation is generated from this.
LOOK_AT: dict[End, str] = {
    End.FINISHED: "Nothing: both sides closed in order.",
    End.CLIENT_RESET: "The caller broke off: its log, or the network between it and the gateway.",
    End.UPSTREAM_RESET: "The destination broke off: its log, its limits, a firewall's idle timer.",
    End.IDLE_TIMEOUT: "No byte either way for the idle limit: keep-alives of the application.",
    End.MAX_AGE: "The connection reached the session age limit; callers should reconnect.",
    End.BAD_HELLO: "Not a TLS ClientHello: a port scan, plain HTTP, or a wrong upstream address.",
    End.HELLO_TIMEOUT: "The caller connected and sent no full ClientHello in time.",
    End.NO_ROUTE: "No SNI, or one that this gateway does not serve: the link, the service's "
    "registration, the trust domain, or a leaf not signed yet.",
    End.HANDSHAKE_FAILED: "TLS with the caller failed: versions, ciphers, or its trust in our roots.",
    End.HANDSHAKE_TIMEOUT: "The caller began TLS and did not finish it in time.",
    End.CLIENT_CERTIFICATE: "The caller's certificate: missing, expired, of another root or trust "
    "domain, or without exactly one SPIFFE URI.",
    End.DENIED: "Intentions: ask `lockgate explain -source S -destination D` which one.",
    End.BAD_REQUEST: "The caller sent what is not HTTP, could mean two things, or was a flood: the answer "
    "(400) or GOAWAY says what.",
    End.NO_ENDPOINT: "No healthy instance: the catalog and its checks.",
    End.DIAL_REFUSED: "Every instance refused the connection: is the service listening there?",
    End.DIAL_TIMEOUT: "No instance answered in time: routing, firewall, or a dead host.",
    End.UPSTREAM_TLS: "TLS with the destination failed: CAFile, SNI, its certificate, our client "
    "certificate.",
    End.INTENTION_REVOKED: "An intention was changed to deny while the connection was open.",
    End.CERTIFICATE_EXPIRED: "The caller's certificate expired while the connection was open.",
    End.ROOT_DISTRUSTED: "The CA root that the other side's certificate leads to was removed: it needs one "
    "of the active root.",
    End.CLOSED_BY_OPERATOR: "Somebody ran `lockgate connections close`.",
    End.DRAINED: "The gateway was drained and the grace period ended.",
    End.OVERLOAD: "A limit was reached: connections, memory or descriptors.",
    End.INTERNAL: "A bug in Lockgate: the worker's log has the traceback.",
}


@unique
class HelloReject(StrEnum):
    """Why a ClientHello was refused; the `reason` label of `lockgate_client_hello_rejected_total`."""

    NOT_TLS = "not_tls"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    TOO_MANY_RECORDS = "too_many_records"
    TIMEOUT = "timeout"
    CLOSED = "closed"
    NO_SNI = "no_sni"
    UNKNOWN_SNI = "unknown_sni"


@unique
class RevocationCause(StrEnum):
    """Why a live connection was closed by us; the `cause` label of `lockgate_connections_revoked_total`."""

    INTENTION = "intention"
    CERTIFICATE = "certificate"
    EXPIRY = "expiry"
    OPERATOR = "operator"
