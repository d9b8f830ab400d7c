"""What a gRPC caller is told when it is we who answer: in trailers without a body, as a status of gRPC.  ●

Belongs here: who is such a caller, and which status means what. Never here: when it is said (`serving`).
Source: gRPC, "PROTOCOL-HTTP2" and "HTTP to gRPC status code mapping"; Envoy, local replies to gRPC requests.
"""

from collections.abc import Iterable
from urllib.parse import quote

from worker.http.answers import Answer
from worker.http.fields import Field

_UNKNOWN = 2
#: From the status of HTTP; what else there is is unknown.
_STATUS = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
#: What `grpc-message` may hold as it is, beside letters and digits.
_SAFE = " !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"


def is_grpc(fields: Iterable[Field]) -> bool:
    """Whether gRPC is spoken in a request with these fields."""
    return any(name == b"content-type" and _is_type(value) for name, value in fields)


def _is_type(value: bytes) -> bool:
    """`application/grpc`, and what it is made of: `+proto`, `;…`; not gRPC-Web."""
    return value.startswith(b"application/grpc") and value[16:17] in (b"", b"+", b";", b" ")


def fields(answer: Answer) -> list[Field]:
    """The whole answer: head and trailers in one."""
    status = _STATUS.get(answer.status, _UNKNOWN)
    found = [
        (b":status", b"200"),
        (b"content-type", b"application/grpc"),
        (b"grpc-status", b"%d" % status),
    ]
    if answer.text:
        found.append((b"grpc-message", quote(answer.text, safe=_SAFE).encode()))
    return found
