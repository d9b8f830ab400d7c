"""Requests that may be made again: what an attempt came to, and how much of a request is held for the next.

Belongs here: the bound, and reading outcomes. Never here: whether to try again (`cluster.http.retries`, asked
by a gateway kind), or making an attempt (`conversation`).

A request is made again only while all of it is in memory: without a body, with one that came with its head,
or with one of known length up to `HELD_BODY_BYTES`, which is read whole before it is sent. A longer body, and
one in chunks, is streamed, and nothing that was streamed is sent twice.
"""

from cluster.http.retries import Failure, Outcome
from worker.http.backend import Unserved
from worker.http.exchange import UpstreamLost
from worker.http.faults import BadResponse
from worker.http.responses import ResponseHead

#: The longest body that is held. Envoy's own bound is 1 MiB; many requests are under way at once here.
HELD_BODY_BYTES = 64 * 1024

_RATE_LIMITED, _GRPC_STATUS = b"x-envoy-ratelimited", b"grpc-status"

#: What ends an attempt without an answer.
Failed = Unserved | UpstreamLost | BadResponse


class PassedOver(Exception):
    """An answer that the caller does not get, as the request is made again."""

    def __init__(self, pause_seconds: float) -> None:
        super().__init__("the request is made again")
        self.pause_seconds = pause_seconds


def answered(response: ResponseHead) -> Outcome:
    """What an attempt came to that was answered."""
    rate_limited, grpc_status = False, None
    for name, value in response.fields:
        lower = name.lower()
        if lower == _RATE_LIMITED:
            rate_limited = True
        elif lower == _GRPC_STATUS and value.isdigit():
            grpc_status = int(value)
    return Outcome(status=response.status, grpc_status=grpc_status, rate_limited=rate_limited)


def failed(error: Failed) -> Outcome | None:
    """What an attempt came to that was not; None if another one would come to the same."""
    if isinstance(error, Unserved):
        return Outcome(failure=Failure.CONNECT) if error.answer.is_failed_connect else None
    if isinstance(error, UpstreamLost) and error.unasked:
        return Outcome(failure=Failure.REFUSED_STREAM)
    return Outcome(failure=Failure.RESET)
