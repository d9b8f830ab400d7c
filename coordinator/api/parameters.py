"""The query parameters that every endpoint understands, and those that we cannot honour.

Belongs here: Consul's common parameters. Never here: those of one endpoint. A parameter that asks for
something that we do not have is refused: an answer that ignores it would be wrong.
"""

from collections.abc import Mapping

from cluster.durations import parse_duration

from .answers import ApiError

DEFAULT_WAIT_SECONDS = 300.0
MAX_WAIT_SECONDS = 600.0
_ENTERPRISE = ("ns", "partition", "sg")
_LATER = {"peer": "cluster peering"}


def check_common(query: Mapping[str, str], datacenter: str) -> None:
    """Raises ApiError for what cannot be answered truthfully."""
    if query.get("dc", "") not in ("", datacenter):
        raise ApiError(500, f"No path to datacenter {query['dc']!r}: this one is {datacenter!r}")
    for name in _ENTERPRISE:
        if query.get(name, "") not in ("", "default"):
            text = f"Invalid query parameter: {name!r} - namespaces and partitions"
            raise ApiError(400, f"{text} are a Consul Enterprise feature")
    for name, what in _LATER.items():
        if query.get(name):
            raise ApiError(501, f"query parameter {name!r} is not supported yet ({what})")
    if "stale" in query and "consistent" in query:
        raise ApiError(400, "Cannot specify ?stale with ?consistent, conflicting semantics.")


def block_index(query: Mapping[str, str]) -> int:
    """The index to get past; 0 does not block. Raises ApiError (400)."""
    text = query.get("index", "")
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise ApiError(400, f"Invalid index: {text[:40]!r}")
    return int(text)


def block_seconds(query: Mapping[str, str]) -> float:
    """How long to wait at most, before jitter. Raises ApiError (400)."""
    text = query.get("wait", "")
    try:
        seconds = parse_duration(text) / 1e9 if text else 0.0
    except ValueError as error:
        raise ApiError(400, f"Invalid wait time: {error}") from None
    if seconds < 0:
        raise ApiError(400, f"Invalid wait time: {text[:40]!r} is negative")
    return min(seconds or DEFAULT_WAIT_SECONDS, MAX_WAIT_SECONDS)


def cas_index(query: Mapping[str, str]) -> int | None:
    """The index of a check-and-set, or None if it is none. Raises ApiError (400)."""
    text = query.get("cas")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise ApiError(400, f"Error parsing cas value {text[:40]!r}: not an index")
    return int(text)
