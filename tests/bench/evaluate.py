"""From the samples of all rounds to the lines of the table.  ●

Belongs here: which samples belong together, and what a line says. Never here: how it is printed (`table`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .figures import Target, better, median, ratio
from .rows import Row, Samples, many

OURS, DIRECT = "lockgate", "direct"
#: A share of the cores that generator and upstream may use.
LOAD_IS_THE_LIMIT = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One sample, and where it belongs. `many`: with a process per core."""

    round: int
    subject: str
    kind: str
    run: str
    many: bool
    sample: dict[str, Any]

    @property
    def key(self) -> str:
        return f"{self.run}, many" if self.many else self.run


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row's outcome. `figures` has each round's figure by subject, None where there is none."""

    row: Row
    figures: dict[str, tuple[float | None, ...]]
    medians: dict[str, float | None]
    ratios: dict[str, float | None]
    verdict: str = ""
    notes: tuple[str, ...] = field(default=())
    limits: tuple[str, ...] = field(default=())


def evaluate(
    rows: Iterable[Row], records: Sequence[Record], *, peers: Sequence[str], cores: int
) -> tuple[Line, ...]:
    return tuple(_line(row, records, peers, cores) for row in rows)


def _line(row: Row, records: Sequence[Record], peers: Sequence[str], cores: int) -> Line:
    rounds = sorted({record.round for record in records})
    figures = {
        subject: tuple(_figure(row, records, subject, number) for number in rounds)
        for subject in (OURS, *peers)
    }
    medians = {subject: median(found) for subject, found in figures.items()}
    ours = medians[OURS]
    best = better([medians[peer] for peer in peers], higher=row.higher)
    ratios = {peer: ratio(ours, medians[peer]) for peer in peers} | {"better": ratio(ours, best)}
    if row.target is not None and row.target.against == "itself":
        ratios = dict.fromkeys(ratios)
    notes = tuple(_notes(row, records))
    return Line(
        row=row,
        figures=figures,
        medians=medians,
        ratios=ratios,
        verdict=_verdict(row, ours, ratios, _busy(row, records), cores),
        notes=notes,
        limits=tuple(_limits(row, records)),
    )


def _samples(records: Sequence[Record], subject: str, kind: str, number: int) -> Samples:
    return {
        record.key: record.sample
        for record in records
        if (record.subject, record.kind, record.round) == (subject, kind, number)
        and not record.sample["problem"]
    }


def _figure(row: Row, records: Sequence[Record], subject: str, number: int) -> float | None:
    samples = _samples(records, subject, row.kind, number)
    direct = _samples(records, DIRECT, DIRECT, number)
    wanted = {run.key for run in row.runs} | {many(run) for run in row.many}
    if not wanted <= samples.keys() or not {run.key for run in row.direct} <= direct.keys():
        return None
    return row.figure(samples, direct)


def _notes(row: Row, records: Sequence[Record]) -> Iterable[str]:
    """What a reader of this row must know: problems, and connections that were refused or cut."""
    wanted = {run.key for run in row.runs} | {many(run) for run in row.many}
    of_row = [r for r in records if r.kind == row.kind and r.key in wanted]
    failed: dict[tuple[str, str], int] = {}
    for record in of_row:
        if record.sample["problem"]:
            yield f"{record.subject}, round {record.round}: {record.sample['problem']}"
        for cause, count in record.sample["failures"].items():
            failed[record.subject, cause] = failed.get((record.subject, cause), 0) + count
    for (subject, cause), count in failed.items():
        yield f"{subject}: {count} connections failed ({cause})"


def _limits(row: Row, records: Sequence[Record]) -> Iterable[str]:
    """Whom the load held up, so that the figure says more of the generator than of the proxy."""
    wanted = {run.key for run in row.runs}
    for subject in sorted({record.subject for record in records}):
        shares = [
            r.sample["load_share"]
            for r in records
            if r.subject == subject and r.kind == row.kind and r.key in wanted
        ]
        if shares and (found := median(shares)) is not None and found > LOAD_IS_THE_LIMIT:
            yield f"{subject}: generator and upstream had {found:.0%} of their cores busy"


def _busy(row: Row, records: Sequence[Record]) -> float | None:
    """How many cores were busy while one process of ours was measured."""
    keys = {run.key for run in row.runs}
    found = [r for r in records if r.subject == OURS and r.kind == row.kind and r.key in keys]
    return median([record.sample["busy_cores"] for record in found if not record.many])


def _verdict(
    row: Row,
    ours: float | None,
    ratios: dict[str, float | None],
    busy: float | None,
    cores: int,
) -> str:
    if row.target is None:
        return ""
    value = ours if row.target.against == "itself" else ratios.get(row.target.against)
    if value is None:
        return "no figure"
    if row.target.met_by(value):
        return "met"
    if row.target.against == "itself" and not _room(row.target, busy, cores):
        return f"no room ({busy:.1f} of {cores} cores busy with one)"
    return "NOT MET"


def _room(target: Target, busy: float | None, cores: int) -> bool:
    """Whether proxy, generator and upstream together could do so much more on these cores."""
    return busy is not None and busy * (target.at_least or 1) <= cores


def disturbance(records: Sequence[Record]) -> str:
    """One sentence on how quiet the machine was."""
    others = sorted(record.sample["other_cores"] for record in records)
    return (
        f"Other processes, and the kernel's own, used {median(others) or 0:.2f} cores at the median of "
        f"{len(others)} samples, {others[-1] if others else 0:.2f} at most."
    )
