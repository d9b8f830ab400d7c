"""Recorded connections judged by another policy: who would be let in now that was not, and the other way
round.

Belongs here: reading a record, and the verdict. Never here: where records come from.

A record is an object as `lockgate connections list` prints it, live or closed. Who was refused ended
`denied`; any other with a source was let in. One without a source never came so far that somebody decided.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import msgspec

from cluster.authorize import DestinationPolicy, reason_of
from cluster.names import ServiceName, written_service
from cluster.reasons import End


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One source and destination whose flows would be decided otherwise; `was` and `now` say `allowed`."""

    source: str
    destination: str
    was: bool
    now: bool
    reason: str
    flows: int
    examples: tuple[str, ...] = ()


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """What became of all records; `skipped` were decided by nobody, or are not records."""

    flows: int = 0
    same: int = 0
    skipped: int = 0
    differs: tuple[Verdict, ...] = ()


_EXAMPLES = 5
_Key = tuple[str, str, bool]


def simulate(
    flows: Iterable[Any], policy_of: Callable[[ServiceName], DestinationPolicy]
) -> Simulated:
    """Judge each record. Never raises for what it finds in one."""
    by_key: dict[_Key, list[str]] = {}
    total = skipped = 0
    for flow in flows:
        total += 1
        key = _key(flow)
        if key is None:
            skipped += 1
        else:
            by_key.setdefault(key, []).append(str(flow.get("id", "")))
    policy = cache(policy_of)
    verdicts = [_verdict(key, ids, policy) for key, ids in sorted(by_key.items())]
    differs = tuple(verdict for verdict in verdicts if verdict.was != verdict.now)
    other = sum(verdict.flows for verdict in differs)
    return Simulated(flows=total, same=total - skipped - other, skipped=skipped, differs=differs)


def _key(flow: Any) -> _Key | None:
    """Who called whom, and whether they were let in; None if that is not to be had."""
    if not isinstance(flow, Mapping) or not flow.get("source") or not flow.get("destination"):
        return None
    source, destination = str(flow["source"]), str(flow["destination"])
    try:
        written_service(source), written_service(destination)
    except ValueError:
        return None
    return source, destination, flow.get("end") != End.DENIED


def _verdict(
    key: _Key, ids: list[str], policy_of: Callable[[ServiceName], DestinationPolicy]
) -> Verdict:
    source, destination, was = key
    decision = policy_of(written_service(destination)).decide(written_service(source))
    return Verdict(
        source=source,
        destination=destination,
        was=was,
        now=decision.allowed,
        reason=reason_of(decision),
        flows=len(ids),
        examples=tuple(one for one in ids[:_EXAMPLES] if one),
    )
