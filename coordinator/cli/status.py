"""`lockgate status` and `lockgate history`: how the fleet is, and what it was told.

Belongs here: showing the coordinator's reports. Never here: making them.
"""

import datetime
from typing import Any

import click

from .options import command
from .output import print_facts, print_json, print_table
from .settings import Settings


@command("status")
@click.pass_obj
def status(settings: Settings) -> None:
    """Show nodes, workers, and which generation they serve.

    \b
    Example:
      lockgate status --format json
    """
    with settings.api() as api:
        report = api.get("/v1/lockgate/status")
    if settings.is_json:
        print_json(report)
        return
    _tell(report)


def _tell(report: dict[str, Any]) -> None:
    leaders = [one["name"] for one in report["coordinators"] if one["leader"]]
    convergence = report.get("convergence_seconds") or {}
    print_facts(
        [
            ("Datacenter", report["datacenter"]),
            ("Coordinator", leaders),
            ("Bus key", ", ".join(one.get("bus_key", "") for one in report["coordinators"])),
            ("Generation", report.get("generation", 0)),
            ("Digest", str(report.get("digest", ""))[:12]),
            ("Convergence", _convergence(convergence)),
        ]
    )
    for problem in report.get("problems", []):
        print(f"Not published: {problem}")
    nodes = report.get("nodes", [])
    print()
    if not nodes:
        print("No node has connected yet.")
        return
    rows = [(n["name"], n["state"], n["generation"], n["engine"], len(n["workers"])) for n in nodes]
    print_table(("Node", "State", "Generation", "Engine", "Workers"), rows)
    print()
    columns = ("Node", "Worker", "Pid", "Generation", "Connections", "Restarts")
    print_table(columns, [_worker(n["name"], w) for n in nodes for w in n["workers"]])
    for node in nodes:
        for problem in node.get("problems", []):
            print(f"Node {node['name']}: {problem}")


def _worker(node: str, worker: dict[str, Any]) -> tuple[Any, ...]:
    names = ("index", "pid", "generation", "connections", "restarts")
    return node, *(worker[name] for name in names)


def _convergence(seconds: dict[str, Any]) -> str:
    known = [(name, seconds.get(name)) for name in ("p50", "p99", "last")]
    return ", ".join(f"{name} {value * 1000:.1f} ms" for name, value in known if value is not None)


@command("history")
@click.pass_obj
def history(settings: Settings) -> None:
    """Show the snapshots that were published, newest first.

    \b
    Example:
      lockgate history
    """
    with settings.api() as api:
        found = api.get("/v1/lockgate/history")
    if settings.is_json:
        print_json(found)
        return
    rows = [
        (one["generation"], _time(one["at"]), one["size_bytes"], one["digest"]) for one in found
    ]
    print_table(("Generation", "Published", "Bytes", "Digest"), rows)


def _time(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
