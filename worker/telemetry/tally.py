"""Counters, gauges and histograms that cost an addition, shown as the families of `prometheus_client`.

Belongs here: the handles that are counted with, and the families that show them. Never here: which families
there are (`worker.telemetry.metrics`).

The library's handles take a lock for every number, as any thread may count. Here one thread counts, trio's;
so a handle is plain attributes, and a hot loop may write `handle.value += 1` itself. Other threads may bind
handles (a view is compiled in one), which takes single steps of a dictionary, and nothing else. What is
shown is sample for sample what the library shows: names, labels, order, values and the spelling of `le`.

A worker tells its node only what has changed (`Registry.news`): with thousands of services, of which few are
used at a time, telling all of it every two seconds would take more than two seconds.
"""

from abc import abstractmethod
from bisect import bisect_left
from collections.abc import Callable, ItemsView, Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from math import inf
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

_le: Callable[[float], str] = floatToGoString
_Handle = TypeVar("_Handle", bound="Count | Level | Spread")
_Number = TypeVar("_Number", bound="Count | Level")


class Count:
    """What only grows. Nothing looks whether it does: a negative amount is the caller's mistake."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def inc(self, amount: float = 1) -> None:
        self.value += amount

    def reading(self) -> object:
        """What is compared to tell whether anything was counted."""
        return self.value


class Level:
    """What goes up and down."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0

    def inc(self, amount: float = 1) -> None:
        self.value += amount

    def dec(self, amount: float = 1) -> None:
        self.value -= amount

    def set(self, value: float) -> None:
        self.value = value

    def reading(self) -> object:
        """What is compared to tell whether it changed."""
        return self.value


class Spread:
    """A histogram: how many observations fell into each bucket, and their sum.

    `bounds` ascend and are inclusive; `counts` has one place more than `bounds`, the last for what is above
    all of them. They are not cumulative; that is how they are shown.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total: float = 0

    def observe(self, amount: float) -> None:
        """Never raises; as in the library, NaN is in no bucket and spoils the sum."""
        if amount == amount:  # NaN is not
            self.counts[bisect_left(self.bounds, amount)] += 1
        self.total += amount

    def observe_many(self, amount: float, count: int) -> None:
        """The same observation so many times."""
        self.counts[bisect_left(self.bounds, amount)] += count
        self.total += amount * count

    def add(self, counts: Sequence[int], total: float) -> None:
        """Fold in what somebody else counted into equal buckets: one number each, and the sum.

        Raises ValueError when these are not as many buckets.
        """
        if len(counts) != len(self.counts):
            raise ValueError(f"{len(counts)} buckets do not fit into {len(self.counts)}")
        for at, count in enumerate(counts):
            self.counts[at] += count
        self.total += total

    def reading(self) -> object:
        """What is compared to tell whether anything was observed."""
        return tuple(self.counts), self.total


class _Family(Collector, Generic[_Handle]):
    """The series of one name, each a handle, by the values of the labels."""

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str] = (),
        *,
        registry: CollectorRegistry,
        is_quiet: bool = False,
    ) -> None:
        """`is_quiet`: a series in which nothing was ever counted is no news."""
        self._name = name
        self._text = text
        self._labels = tuple(labels)
        self._series: dict[tuple[str, ...], _Handle] = {}
        self._told: dict[tuple[str, ...], object] = {}
        self._silence = self._new().reading() if is_quiet else None
        if not self._labels:
            self.labels()  # the one series there is, shown before anything is counted
        registry.register(self)

    def labels(self, *values: str) -> _Handle:
        """The handle of one series, the same one for equal values. Raises ValueError for a wrong number."""
        found = self._series.get(values)
        if found is None:
            if len(values) != len(self._labels):
                raise ValueError(f"{self._name} has labels {self._labels}, not {values}")
            found = self._series.setdefault(values, self._new())
        return found

    def describe(self) -> Iterator[Metric]:
        """The names this family takes, so that the registry refuses a second one."""
        yield self._blank()

    def collect(self) -> Iterator[Metric]:
        """Every series, as the library asks for it."""
        yield self._showing(self._bound())

    def news(self, *, afresh: bool) -> Metric:
        """The series that changed since the last call; with `afresh` as if there had been none."""
        if afresh:
            self._told.clear()
        told, silence, changed = self._told, self._silence, []
        for values, handle in self._bound():
            reading = handle.reading()
            if reading != told.get(values, silence):
                told[values] = reading
                changed.append((values, handle))
        return self._showing(changed)

    def _bound(self) -> ItemsView[tuple[str, ...], _Handle]:
        """All series in the order they were bound. Of a copy, as a thread may bind one meanwhile."""
        return self._series.copy().items()

    @abstractmethod
    def _showing(self, series: Iterable[tuple[tuple[str, ...], _Handle]]) -> Metric: ...

    @abstractmethod
    def _new(self) -> _Handle: ...

    @abstractmethod
    def _blank(self) -> Metric: ...


class _Numbers(_Family[_Number]):
    """A family whose series are one number each."""

    def _showing(self, series: Iterable[tuple[tuple[str, ...], _Number]]) -> Metric:
        family = self._blank()
        for values, handle in series:
            family.add_metric(values, float(handle.value))
        return family

    @abstractmethod
    def _blank(self) -> CounterMetricFamily | GaugeMetricFamily: ...


class Counts(_Numbers[Count]):
    """A counter family; `name` is without `_total`."""

    def _new(self) -> Count:
        return Count()

    def _blank(self) -> CounterMetricFamily:
        return CounterMetricFamily(self._name, self._text, labels=self._labels)


class Levels(_Numbers[Level]):
    """A gauge family."""

    def _new(self) -> Level:
        return Level()

    def _blank(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(self._name, self._text, labels=self._labels)


class Spreads(_Family[Spread]):
    """A histogram family. `buckets` are the inclusive upper bounds, without the infinite one.

    Raises ValueError when they do not ascend from above zero.
    """

    def __init__(
        self,
        name: str,
        text: str,
        labels: Sequence[str] = (),
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry,
        is_quiet: bool = False,
    ) -> None:
        self._bounds = tuple(float(bound) for bound in buckets)
        steps = pairwise((0.0, *self._bounds, inf))
        if not self._bounds or not all(low < high for low, high in steps):
            raise ValueError(f"{name}: buckets do not ascend from above zero: {self._bounds}")
        self._names = tuple(_le(bound) for bound in (*self._bounds, inf))
        super().__init__(name, text, labels, registry=registry, is_quiet=is_quiet)

    def _showing(self, series: Iterable[tuple[tuple[str, ...], Spread]]) -> Metric:
        family = self._blank()
        for values, handle in series:
            reached = map(float, accumulate(handle.counts))
            family.add_metric(values, tuple(zip(self._names, reached, strict=True)), handle.total)
        return family

    def _new(self) -> Spread:
        return Spread(self._bounds)

    def _blank(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self._name, self._text, labels=self._labels)


class Registry(CollectorRegistry):
    """A registry that can also tell what is new of the families here; of the library's own, all is."""

    def __init__(self) -> None:
        self._all: list[Collector] = []
        super().__init__()

    def register(self, collector: Collector) -> None:
        super().register(collector)
        self._all.append(collector)

    def news(self, *, afresh: bool) -> Iterator[Metric]:
        """What changed since the last call, or with `afresh` everything that was ever counted in."""
        for collector in self._all:
            if isinstance(collector, _Family):
                yield collector.news(afresh=afresh)
            else:
                yield from collector.collect()
