"""Which service of a listener a request's host leads to.

Belongs here: the patterns of a service, and the order among patterns. Never here: what a host may look like
in an entry (`coordinator.entries`).

A pattern is a host, `*.suffix`, `prefix.*` or `*`. A star stands for at least one character, dots included.
An exact host wins, then the longest suffix, then the longest prefix, then `*`. Hosts have no case.
"""

from collections.abc import Iterable, Mapping, Sequence

from cluster.names import DEFAULT

STAR = "*"


def host_patterns(
    service: str, hosts: Sequence[str], port: int, namespace: str = DEFAULT
) -> tuple[str, ...]:
    """The patterns of a service on a listener: its hosts, else `<service>.ingress.*`, and all of them with
    the listener's port too, unless they name one themselves.
    """
    tenancy = "" if namespace in ("", DEFAULT) else f"{namespace}."
    given = hosts or (f"{service}.ingress.{tenancy}{STAR}",)
    with_port = (f"{host}:{port}" for host in given if ":" not in host)
    return tuple(dict.fromkeys((*given, *with_port)))


class Hosts:
    """The patterns of one listener, by service. Of a pattern that two services have, the first has it."""

    __slots__ = ("_any", "_exact", "_prefixes", "_suffixes")

    def __init__(self, patterns: Mapping[str, Iterable[str]]) -> None:
        self._exact: dict[str, str] = {}
        self._suffixes = _Ends(-1)
        self._prefixes = _Ends(1)
        self._any: str | None = None
        for service, hosts in patterns.items():
            for host in hosts:
                self._add(host.lower(), service)

    def service(self, host: str) -> str | None:
        """The service for a request's Host header or `:authority`; None is answered with 404."""
        host = host.lower()
        if (exact := self._exact.get(host)) is not None:
            return exact
        for ends in (self._suffixes, self._prefixes):
            if (service := ends.find(host)) is not None:
                return service
        return self._any if host else None

    def _add(self, pattern: str, service: str) -> None:
        if pattern == STAR:
            self._any = service if self._any is None else self._any
        elif pattern.startswith(STAR):
            self._suffixes.add(pattern[1:], service)
        elif pattern.endswith(STAR):
            self._prefixes.add(pattern[:-1], service)
        else:
            self._exact.setdefault(pattern, service)


class _Ends:
    """Services by how a host begins or ends (`side` 1 or -1). It looks once for each length there is."""

    __slots__ = ("_by_part", "_lengths", "_side")

    def __init__(self, side: int) -> None:
        self._side = side
        self._by_part: dict[str, str] = {}
        self._lengths: tuple[int, ...] = ()

    def add(self, part: str, service: str) -> None:
        self._by_part.setdefault(part, service)
        self._lengths = tuple(sorted({*self._lengths, len(part)}, reverse=True))

    def find(self, host: str) -> str | None:
        """The service of the longest part; at least one character is left for the star."""
        for length in self._lengths:
            if length < len(host):
                part = host[:length] if self._side > 0 else host[-length:]
                if (service := self._by_part.get(part)) is not None:
                    return service
        return None
