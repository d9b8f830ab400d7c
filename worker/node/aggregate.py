"""Metrics of N workers as those of one node.  ●

Belongs here: adding families up. Never here: Prometheus' text (`worker.node.metrics`) or sockets.

What a worker that is gone has counted stays counted, so that counters only grow; its gauges go with it, as
they say what is now.
"""

from collections.abc import Callable, Iterable

from cluster.messages import Family

from .counted import Key, key_of, with_values

_CUMULATIVE = frozenset({"counter", "histogram", "summary"})
#: Gauges that several workers share and whose sum would say nothing.
_NOT_SUMMED: dict[str, Callable[[float, float], float]] = {"lockgate_upstream_healthy": min}

ENGINE_INFO = "lockgate_relay_engine_info"


def combine(groups: Iterable[Iterable[Family]]) -> tuple[Family, ...]:
    """The families of several workers as one set, samples of equal names and labels joined.

    Where two workers disagree on a family's kind (they may run different versions), the first is right.
    """
    first: dict[str, Family] = {}
    values: dict[str, dict[Key, float]] = {}
    for group in groups:
        for family in group:
            known = first.setdefault(family.name, family)
            if known.kind == family.kind:
                _join(values.setdefault(family.name, {}), family)
    return tuple(with_values(known, values[name]) for name, known in first.items())


def _join(values: dict[Key, float], family: Family) -> None:
    for sample in family.samples:
        key = key_of(sample)
        if key in values:
            values[key] = _joint(family)(values[key], sample.value)
        else:
            values[key] = sample.value


def _joint(family: Family) -> Callable[[float, float], float]:
    if family.kind == "info" or family.name.endswith("_info"):
        return max
    return _NOT_SUMMED.get(family.name, _sum)


def _sum(one: float, other: float) -> float:
    return one + other


def departed(families: Iterable[Family]) -> tuple[Family, ...]:
    """What stays of a worker that is gone."""
    return tuple(family for family in families if family.kind in _CUMULATIVE)


def engine_of(families: Iterable[Family]) -> str:
    """The relay engine that the workers run; the pure one as soon as a single worker does."""
    engines = {
        sample.labels.get("engine", "")
        for family in families
        if family.name == ENGINE_INFO
        for sample in family.samples
        if sample.value
    }
    return "pure" if "pure" in engines else next(iter(engines), "")
