"""What one worker has counted, put together from what it told.  ●

Belongs here: taking in its messages. Never here: adding workers up (`worker.node.aggregate`).
"""

from collections.abc import Mapping

import msgspec

from cluster.messages import Family, Metrics, Sample

Key = tuple[str, tuple[tuple[str, str], ...]]


def key_of(sample: Sample) -> Key:
    """What tells the series of a family apart."""
    return sample.name, tuple(sorted(sample.labels.items()))


def with_values(family: Family, values: Mapping[Key, float]) -> Family:
    """The family with these series and no others."""
    samples = tuple(
        Sample(name=name, labels=dict(labels), value=value)
        for (name, labels), value in values.items()
    )
    return msgspec.structs.replace(family, samples=samples)


class Counted:
    """The series of one worker, each as it was told last."""

    def __init__(self) -> None:
        self._families: dict[str, Family] = {}
        self._values: dict[str, dict[Key, float]] = {}

    def take(self, metrics: Metrics) -> None:
        """News are added to what is known; anything else takes its place."""
        if not metrics.is_news:
            self._families, self._values = {}, {}
        for family in metrics.families:
            self._families.setdefault(family.name, msgspec.structs.replace(family, samples=()))
            values = self._values.setdefault(family.name, {})
            values.update((key_of(sample), sample.value) for sample in family.samples)

    def family(self, name: str) -> Family | None:
        """One of them; None if the worker has told nothing of it."""
        found = self._families.get(name)
        return None if found is None else with_values(found, self._values[name])

    @property
    def families(self) -> tuple[Family, ...]:
        """All of them."""
        return tuple(
            with_values(family, self._values[name]) for name, family in self._families.items()
        )
