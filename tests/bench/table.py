"""The table that a person reads.  ●

Belongs here: columns and the spelling of numbers. Never here: arithmetic (`figures`).
"""

from collections.abc import Iterable, Sequence

from .evaluate import OURS, Line

_TITLES = {
    "passthrough": "SNI passthrough",
    "tls": "Mutual TLS in, plain out",
    "http": "HTTP/1.1 by host, plain in and out",
    "http2": "HTTP/2 in, HTTP/1.1 out, plain",
    "https": "HTTP/1.1 in mutual TLS, plain out",
}


def spell(value: float | None) -> str:
    """Three digits that count, thousands grouped."""
    if value is None:
        return "–"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def render(lines: Sequence[Line], peers: Sequence[str]) -> str:
    """Medians of each subject, then the ratio of ours to each peer and to the better, then the target."""
    header = ("", "unit", OURS, *peers, *(f"/{peer}" for peer in peers), "/better", "target", "")
    header = tuple(cell if len(peers) > 1 or cell != "/better" else "" for cell in header)
    body: list[tuple[str, ...]] = [header]
    kind = ""
    for line in lines:
        if line.row.kind != kind:
            kind = line.row.kind
            body.append((_TITLES[kind],))
        body.append(_cells(line, peers))
    return "\n".join([*_align(body), *_remarks(lines)])


def _remarks(lines: Iterable[Line]) -> Iterable[str]:
    """Each once, as rows that are made of the same runs have the same."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for line in lines:
        for mark, notes in (("!", line.notes), ("~", line.limits)):
            for note in notes:
                rows.setdefault((mark, line.row.kind, note), []).append(line.row.title)
    for (mark, kind, note), titles in rows.items():
        more = f" (and {len(titles) - 1} more)" if len(titles) > 1 else ""
        yield f"{mark} {kind}, {titles[0]}{more}: {note}"


def _cells(line: Line, peers: Sequence[str]) -> tuple[str, ...]:
    row = line.row
    ratios = [spell(line.ratios[peer]) for peer in peers]
    ratios.append(spell(line.ratios["better"]) if len(peers) > 1 else "")
    figures = [spell(line.medians[subject]) for subject in (OURS, *peers)]
    target = str(row.target) if row.target else ""
    mark = " !" * bool(line.notes) + " ~" * bool(line.limits)
    return ("  " + row.title + mark, row.unit, *figures, *ratios, target, line.verdict)


def _align(rows: Sequence[tuple[str, ...]]) -> Iterable[str]:
    widths = [max(len(row[i]) for row in rows if len(row) > 1) for i in range(len(rows[0]))]
    last = len(widths) - 2
    for row in rows:
        cells = [
            cell.ljust(width) if i < 2 or i >= last else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        yield "  ".join(cells).rstrip()
