"""The rows of the table: which run a figure comes from, how, and what is promised of it.  ●

Belongs here: rows as data. Never here: how a run is made (`measure`), arithmetic over rounds (`figures`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from . import runs
from .figures import Target
from .runs import Kind, Run

#: By key of a run: what one sample holds. Runs with many processes have `many()` of their key.
Samples = Mapping[str, Mapping[str, Any]]
Figure = Callable[[Samples, Samples], float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`figure` makes a number of one subject's samples in one round, and of those of the direct way."""

    key: str
    title: str
    kind: Kind
    unit: str
    runs: tuple[Run, ...]
    figure: Figure
    higher: bool = True
    target: Target | None = None
    #: Runs that are needed besides: of the upstream itself, and of proxies with as many processes as cores.
    direct: tuple[Run, ...] = ()
    many: tuple[Run, ...] = ()


def many(run: Run) -> str:
    return f"{run.key}, many"


def _said(run: Run, field: str) -> Figure:
    def figure(samples: Samples, _direct: Samples) -> float | None:
        return float(samples[run.key]["said"][field])

    return figure


def _added(run: Run, field: str) -> Figure:
    def figure(samples: Samples, direct: Samples) -> float | None:
        return float(samples[run.key]["said"][field]) - float(direct[run.key]["said"][field])

    return figure


def _cpu_per_ten_thousand(run: Run) -> Figure:
    def figure(samples: Samples, _direct: Samples) -> float | None:
        sample = samples[run.key]
        return float(sample["cpu_seconds"] / sample["said"]["total_operations"] * 10_000)

    return figure


def _cpu_per_gigabyte(*both: Run) -> Figure:
    def figure(samples: Samples, _direct: Samples) -> float | None:
        found = [samples[run.key] for run in both]
        moved = sum(sample["said"]["total_bytes"] for sample in found)
        return float(sum(sample["cpu_seconds"] for sample in found) / moved * 1e9)

    return figure


def _idle(samples: Samples, _direct: Samples) -> float | None:
    return float(samples[runs.IDLE.key]["idle_bytes"]) / 1000


def _rate(kind: Kind, key: str, title: str, run: Run, target: float) -> tuple[Row, ...]:
    """A row of new connections, and one of what 10,000 of them cost."""
    most = {"passthrough.connections": Target(at_most=1.25)}
    return (
        Row(
            key=f"{kind}.{key}",
            title=title,
            kind=kind,
            unit="/s",
            runs=(run,),
            figure=_said(run, "per_second"),
            target=Target(at_least=target),
        ),
        Row(
            key=f"{kind}.{key}.cpu",
            title=f"CPU for 10,000 {title}",
            kind=kind,
            unit="s",
            runs=(run,),
            figure=_cpu_per_ten_thousand(run),
            higher=False,
            target=most.get(f"{kind}.{key}"),
        ),
    )


def _round_trips(kind: Kind) -> tuple[Row, ...]:
    targets = {runs.ECHO_64: Target(at_least=0.95)}
    return tuple(
        Row(
            key=f"{kind}.round-trips-{run.connections}",
            title=f"round trips, {run.connections:,} connection{'s' * (run.connections > 1)}",
            kind=kind,
            unit="/s",
            runs=(run,),
            figure=_said(run, "per_second"),
            target=targets.get(run),
        )
        for run in (runs.ECHO_1, runs.ECHO_64, runs.ECHO_1000)
    )


def _latencies(kind: Kind) -> tuple[Row, ...]:
    return tuple(
        Row(
            key=f"{kind}.latency-{run.connections}-{share}",
            title=f"{share} over direct, {run.connections} connection{'s' * (run.connections > 1)}",
            kind=kind,
            unit="µs",
            runs=(run,),
            figure=_added(run, f"{share}_us"),
            higher=False,
            direct=(run,),
        )
        for run in (runs.ECHO_1, runs.ECHO_64)
        for share in ("p50", "p99")
    )


def _bulk(kind: Kind, least: float) -> tuple[Row, ...]:
    return (
        *(
            Row(
                key=f"{kind}.bulk-{run.key}",
                title=f"bulk {run.key}, 4 streams",
                kind=kind,
                unit="Gbit/s",
                runs=(run,),
                figure=_said(run, "gbit_per_second"),
                target=Target(at_least=least),
            )
            for run in (runs.DOWN, runs.UP)
        ),
        Row(
            key=f"{kind}.bulk.cpu",
            title="CPU for 1 GB, down and up",
            kind=kind,
            unit="s",
            runs=(runs.DOWN, runs.UP),
            figure=_cpu_per_gigabyte(runs.DOWN, runs.UP),
            higher=False,
            target=Target(at_most=0.8),
        ),
    )


def _requests(kind: Kind, key: str, title: str, run: Run, target: Target | None) -> tuple[Row, ...]:
    """Requests per second, what 10,000 of them cost, and how long half, and all but a hundredth, took."""
    return (
        Row(
            key=f"{kind}.{key}",
            title=title,
            kind=kind,
            unit="/s",
            runs=(run,),
            figure=_said(run, "per_second"),
            target=target,
        ),
        Row(
            key=f"{kind}.{key}.cpu",
            title="… CPU for 10,000",
            kind=kind,
            unit="s",
            runs=(run,),
            figure=_cpu_per_ten_thousand(run),
            higher=False,
        ),
        *(
            Row(
                key=f"{kind}.{key}.{share}",
                title=f"… {share}",
                kind=kind,
                unit="µs",
                runs=(run,),
                figure=_said(run, f"{share}_us"),
                higher=False,
            )
            for share in ("p50", "p99")
        ),
    )


def _large_bodies(kind: Kind, target: Target | None) -> tuple[Row, ...]:
    both = {"down": runs.GET_LARGE, "up": runs.PUT_LARGE}
    return (
        *(
            Row(
                key=f"{kind}.bodies-{way}",
                title=f"1 MB bodies {way}, {run.connections} connections",
                kind=kind,
                unit="Gbit/s",
                runs=(run,),
                figure=_said(run, "gbit_per_second"),
                target=target,
            )
            for way, run in both.items()
        ),
        Row(
            key=f"{kind}.bodies.cpu",
            title="CPU for 1 GB, down and up",
            kind=kind,
            unit="s",
            runs=tuple(both.values()),
            figure=_cpu_per_gigabyte(*both.values()),
            higher=False,
        ),
    )


def _memory(kind: Kind, most: float) -> Row:
    return Row(
        key=f"{kind}.idle-memory",
        title=f"memory of an idle connection, {runs.IDLE_CONNECTIONS:,} open",
        kind=kind,
        unit="kB",
        runs=(runs.IDLE,),
        figure=_idle,
        higher=False,
        target=Target(against="haproxy", at_most=most),
    )


def _growth(kind: Kind, run: Run, title: str) -> tuple[Row, ...]:
    """With a process per core: the rate, and how much it is above that of one process."""

    def rate(samples: Samples, _direct: Samples) -> float | None:
        return float(samples[many(run)]["said"]["per_second"])

    def growth(samples: Samples, direct: Samples) -> float | None:
        return (rate(samples, direct) or 0) / float(samples[run.key]["said"]["per_second"])

    return (
        Row(
            key=f"{kind}.many",
            title=f"{title}, a process per core",
            kind=kind,
            unit="/s",
            runs=(),
            many=(run,),
            figure=rate,
        ),
        Row(
            key=f"{kind}.growth",
            title="… and its growth over one process",
            kind=kind,
            unit="x",
            runs=(run,),
            many=(run,),
            figure=growth,
            target=Target(against="itself", at_least=1.5),
        ),
    )


_HALF_OF_NGINX = Target(against="nginx", at_least=0.5)

ROWS: tuple[Row, ...] = (
    *_rate("passthrough", "connections", "connections", runs.CONNECT, 0.85),
    *_round_trips("passthrough"),
    *_latencies("passthrough"),
    *_bulk("passthrough", 1.2),
    _memory("passthrough", 1.0),
    *_growth("passthrough", runs.CONNECT, "connections"),
    *_rate("tls", "full", "full handshakes", runs.HANDSHAKE, 1.0),
    *_rate("tls", "resumed", "resumed handshakes", runs.RESUME, 1.0),
    *_round_trips("tls"),
    *_latencies("tls"),
    *_bulk("tls", 1.1),
    _memory("tls", 1.5),
    *_growth("tls", runs.HANDSHAKE, "full handshakes"),
    *_requests("http", "requests", "requests, 64 connections", runs.GET, _HALF_OF_NGINX),
    *_large_bodies("http", Target(against="nginx", at_least=1.0)),
    *_requests("http2", "requests", "requests, 16 connections of 8 streams", runs.H2, None),
    *_requests("https", "requests", "requests, 64 connections", runs.GET, None),
    *_requests("https", "connections", "connections of one request each", runs.ONCE, None),
    *_large_bodies("https", None),
)
