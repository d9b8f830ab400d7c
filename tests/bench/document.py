"""The JSON file: everything that was found, so that a table can be made again.  ●

Belongs here: its shape. Never here: arithmetic.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from .campaign import Campaign
from .evaluate import Line, Record


def document(
    campaign: Campaign,
    lines: Sequence[Line],
    records: Sequence[Record],
    facts: dict[str, Any],
    versions: dict[str, str],
) -> dict[str, Any]:
    return {
        "machine": facts,
        "versions": versions,
        "rounds": campaign.rounds,
        "seconds": campaign.seconds,
        "processes_of_many": campaign.processes,
        "connections_end_with": "reset" if campaign.reset else "fin",
        "rows": [_row(line) for line in lines],
        "samples": [asdict(record) for record in records],
    }


def _row(line: Line) -> dict[str, Any]:
    row = line.row
    return {
        "key": row.key,
        "kind": row.kind,
        "title": row.title,
        "unit": row.unit,
        "better": "higher" if row.higher else "lower",
        "figures": line.figures,
        "medians": line.medians,
        "ratios": line.ratios,
        "target": str(row.target) if row.target else None,
        "verdict": line.verdict,
        "notes": line.notes,
        "limits": line.limits,
    }
