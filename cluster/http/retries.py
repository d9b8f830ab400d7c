"""Whether an attempt that failed is made again.

Belongs here: the conditions of service-router, and the answer. Never here: making an attempt, or knowing
whether a body can be sent once more (who has streamed it away must not ask).
Source: consul-gateways.md 6.4; Envoy, "x-envoy-retry-on", "x-envoy-retry-grpc-on".
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Any


@unique
class Failure(StrEnum):
    """Why an attempt brought no head of a response."""

    CONNECT = "connect"
    RESET = "reset"
    REFUSED_STREAM = "refused_stream"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an attempt came to: a failure, or a status, of gRPC too. `rate_limited`: `x-envoy-ratelimited`."""

    failure: Failure | None = None
    status: int = 0
    grpc_status: int | None = None
    rate_limited: bool = False


_GRPC = {
    "cancelled": 1,
    "deadline-exceeded": 4,
    "resource-exhausted": 8,
    "internal": 13,
    "unavailable": 14,
}
_GATEWAY_ERRORS = frozenset({502, 503, 504})
_NO_ANSWER = frozenset({Failure.RESET, Failure.CONNECT, Failure.TIMEOUT})

Condition = Callable[[Outcome], bool]


def _grpc(code: int) -> Condition:
    return lambda outcome: outcome.grpc_status == code


CONDITIONS: Mapping[str, Condition] = MappingProxyType(
    {
        "5xx": lambda outcome: (
            500 <= outcome.status < 600
            or outcome.failure in _NO_ANSWER
            or outcome.failure is Failure.REFUSED_STREAM
        ),
        "gateway-error": lambda outcome: outcome.status in _GATEWAY_ERRORS,
        "reset": lambda outcome: outcome.failure in _NO_ANSWER,
        "connect-failure": lambda outcome: outcome.failure is Failure.CONNECT,
        "envoy-ratelimited": lambda outcome: outcome.rate_limited,
        "retriable-4xx": lambda outcome: outcome.status == 409,
        "refused-stream": lambda outcome: outcome.failure is Failure.REFUSED_STREAM,
        **{name: _grpc(code) for name, code in _GRPC.items()},
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often, and after what."""

    limit: int
    conditions: frozenset[str]
    statuses: frozenset[int] = frozenset()

    def again(self, outcome: Outcome, retries_made: int) -> bool:
        """Whether to try once more after so many retries."""
        return retries_made < self.limit and self.covers(outcome)

    def covers(self, outcome: Outcome) -> bool:
        """Whether this is what attempts are made again after."""
        if outcome.status in self.statuses:
            return True
        return any(CONDITIONS[name](outcome) for name in self.conditions)


#: Between two attempts, as Envoy's: at first up to this long, each time up to twice as long.
BASE_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.025, 0.25


def pause_seconds(retries_made: int, chance: random.Random) -> float:
    """How long to wait before the next attempt, so that not all come back at once."""
    most = min(BASE_PAUSE_SECONDS * 2.0**retries_made, LONGEST_PAUSE_SECONDS)
    return chance.random() * most


def retries_of(destination: Mapping[str, Any]) -> Retries | None:
    """What a route's `Destination` says; None without any condition."""
    named = {name for name in destination.get("RetryOn") or () if name in CONDITIONS}
    if destination.get("RetryOnConnectFailure"):
        named.add("connect-failure")
    statuses = frozenset(destination.get("RetryOnStatusCodes") or ())
    if not named and not statuses:
        return None
    limit = destination.get("NumRetries") or 1
    return Retries(limit=limit, conditions=frozenset(named), statuses=statuses)
