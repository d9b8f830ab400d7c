"""The counters of what intentions answered, found by what is at hand when they answer.

Belongs here: from a caller's name to its counter. Never here: which names may be labels, which is the view's
to say.

A view knows its callers' names, so the way from a name to its counter holds for one view. Only callers that
it knows are remembered: whoever gets certificates for other names is counted as one, and takes no memory.
"""

from typing import Protocol

from cluster.names import ServiceName
from worker.telemetry.tally import Count, Counts


class Sources(Protocol):
    """What a view knows of callers. `known_sources` is the same object for as long as the names hold."""

    @property
    def known_sources(self) -> frozenset[str]: ...

    def source_label(self, source: ServiceName | None) -> str: ...


class Decisions:
    """Finds the counter of one answer; `family` is by gateway, service, source and decision."""

    __slots__ = ("_family", "_known", "_remembered")

    def __init__(self, family: Counts) -> None:
        self._family = family
        self._known: frozenset[str] = frozenset()
        self._remembered: dict[tuple[str, ServiceName, ServiceName | None, bool], Count] = {}

    def counter(
        self,
        view: Sources,
        gateway: str,
        service: ServiceName,
        source: ServiceName | None,
        allowed: bool,
    ) -> Count:
        """The counter of one answer to `source`, who is None if it is nobody here."""
        if view.known_sources is not self._known:
            self._known, self._remembered = view.known_sources, {}
        key = (gateway, service, source, allowed)
        found = self._remembered.get(key)
        if found is None:
            label = view.source_label(source)
            found = self._family.labels(
                gateway, str(service), label, "allow" if allowed else "deny"
            )
            if source is None or label == str(source):
                self._remembered[key] = found
        return found
