"""What DNS said, and for how long it holds.  ●

- A name's TTL counts, but at least `ttl_min_seconds` and at most `ttl_max_seconds`: 10 s, because
  Consul's gateways look a hostname up every 10 s and operators move services in that expectation.
- That a name does not exist, or has no address, holds for `negative_seconds`.
- When DNS fails (silence, SERVFAIL) what was known before goes on for `stale_seconds` after its TTL
  (RFC 8767), with a new try every `retry_seconds`.

Belongs here: these decisions. Never here: asking.
"""

from dataclasses import dataclass, replace
from itertools import chain, zip_longest


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveLimits:
    """Times of the resolver, in seconds, and how many names it remembers."""

    ttl_min_seconds: float = 1.0
    ttl_max_seconds: float = 10.0
    negative_seconds: float = 2.0
    retry_seconds: float = 2.0
    stale_seconds: float = 3600.0
    #: How long one server is waited for, and how long all of them are.
    server_seconds: float = 1.0
    query_seconds: float = 3.0
    #: How long DNS is waited for while an old answer is at hand.
    stale_patience_seconds: float = 0.5
    #: How long the other address family is waited for once one has answered (RFC 8305 section 3).
    other_family_seconds: float = 0.25
    max_names: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What one query brought: addresses, or why there are none. `failed` means that DNS did not work."""

    addresses: tuple[str, ...] = ()
    ttl_seconds: float = 0.0
    why: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is remembered of a name; without addresses, `why` says why."""

    addresses: tuple[str, ...] = ()
    why: str = ""
    fresh_until: float
    stale_until: float


def joined(ipv4: Records, ipv6: Records) -> Records:
    """Both families in turns, IPv4 first: dialling alternates, and IPv4 is what Consul would use."""
    found = [records for records in (ipv4, ipv6) if records.addresses]
    if not found:
        return ipv4 if ipv4.failed or not ipv6.failed else ipv6
    pairs = chain.from_iterable(zip_longest(ipv4.addresses, ipv6.addresses))
    return Records(
        addresses=tuple(address for address in pairs if address is not None),
        ttl_seconds=min(records.ttl_seconds for records in found),
    )


def remembered(old: Entry | None, new: Records, now: float, limits: ResolveLimits) -> Entry:
    """The entry after a query."""
    if new.addresses:
        ttl = min(max(new.ttl_seconds, limits.ttl_min_seconds), limits.ttl_max_seconds)
        return Entry(
            addresses=new.addresses,
            fresh_until=now + ttl,
            stale_until=now + ttl + limits.stale_seconds,
        )
    if not new.failed:
        until = now + limits.negative_seconds
        return Entry(why=new.why, fresh_until=until, stale_until=until)
    until = now + limits.retry_seconds
    if old is not None and is_usable(old, now):
        return replace(old, fresh_until=min(until, old.stale_until))
    return Entry(why=new.why, fresh_until=until, stale_until=until)


def is_usable(entry: Entry, now: float) -> bool:
    """Whether `entry` has addresses that may still be served if DNS fails."""
    return bool(entry.addresses) and now < entry.stale_until
