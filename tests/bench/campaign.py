"""The rounds: every subject in turn, run by run, so that the machine's moods meet all of them.

Belongs here: order. Never here: how one sample is taken (`measure`), what is made of them (`evaluate`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import cast

from . import progress
from .check import check
from .evaluate import DIRECT, Record
from .measure import Manner, measure
from .rows import Row
from .runs import Kind, Run
from .stand import Bench, subjects
from .subjects import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    rows: tuple[Row, ...]
    peers: tuple[str, ...]
    rounds: int
    seconds: float
    processes: int
    reset: bool
    again: int
    quiet_seconds: float
    shared: bool

    def manner(self, site: Bench, *, many: bool) -> Manner:
        return Manner(
            shared=self.shared or many,
            seconds=self.seconds,
            reset=self.reset,
            again=self.again,
            quiet_seconds=self.quiet_seconds,
            upstream_pid=site.upstream_pid,
            log=site.directory / "generator.log",
        )


Wanted = tuple[tuple[str, Run], ...]


def runs_of(rows: Iterable[Row], *, many: bool) -> Wanted:
    """Kind and run, each once; idle ones first."""
    found: dict[tuple[str, Run], None] = {}
    for row in rows:
        for run in row.many if many else row.runs:
            found[row.kind, run] = None
        if not many:
            found |= dict.fromkeys((DIRECT, run) for run in row.direct)
    return tuple(sorted(found, key=lambda one: one[1].mode != "idle"))


def parts(rows: Iterable[Row]) -> tuple[tuple[bool, Wanted], ...]:
    """What is measured between two starts of everything, and whether with many processes.

    Idle connections come first after a start, and each kind of them after one of its own, as memory that a
    process has freed would be used again and not show as growth.
    """
    one = runs_of(rows, many=False)
    idle = [wanted for wanted in one if wanted[1].mode == "idle"]
    rest = tuple(wanted for wanted in one if wanted[1].mode != "idle")
    alone = [(False, (wanted,)) for wanted in idle[:-1]]
    together = [(False, (*idle[-1:], *rest)), (True, runs_of(rows, many=True))]
    return tuple((many, wanted) for many, wanted in (*alone, *together) if wanted)


def carry_out(campaign: Campaign, site: Bench, records: list[Record]) -> dict[str, str]:
    """Fills `records`, so that what was measured is there even if the rest is not; versions by subject."""
    versions: dict[str, str] = {}
    for number in range(1, campaign.rounds + 1):
        for many, wanted in parts(campaign.rows):
            versions |= _part(campaign, site, records, number, many, wanted)
    progress.done()
    return versions


def _part(
    campaign: Campaign,
    site: Bench,
    records: list[Record],
    number: int,
    many: bool,
    wanted: Wanted,
) -> dict[str, str]:
    processes = campaign.processes if many else 1
    progress.tell(f"round {number} of {campaign.rounds}: starting, {processes} process(es) each")
    with subjects(site, campaign.peers, processes=processes) as (_, found):
        for subject in found:
            check(subject)
        for kind, run in wanted:
            for subject in _turn([site.direct] if kind == DIRECT else found, number):
                progress.tell(
                    f"round {number} of {campaign.rounds}: {kind} {run}, {subject.name}"
                    + (f", {processes} processes" if many else "")
                )
                records.append(_record(campaign, site, number, many, kind, run, subject))
        return {subject.name: subject.version for subject in found}


def _record(
    campaign: Campaign, site: Bench, number: int, many: bool, kind: str, run: Run, subject: Subject
) -> Record:
    way = subject.ways["passthrough" if kind == DIRECT else cast(Kind, kind)]
    sample = measure(run, subject, way, campaign.manner(site, many=many))
    return Record(
        round=number, subject=subject.name, kind=kind, run=run.key, many=many, sample=asdict(sample)
    )


def _turn(subjects: Sequence[Subject], number: int) -> Iterator[Subject]:
    """Another one first in each round."""
    at = number % len(subjects)
    yield from (*subjects[at:], *subjects[:at])
