"""`lockgate status`: how the fleet is.

Belongs here: showing the coordinator's report. Never here: making them.
"""

from typing import Any

import click

from .options import command
from .output import print_facts, print_json, print_table
from .settings import Settings

_NAMED = 10


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
    for one in report.get("converging", []):
        late = f"Generation {one['generation']} is not everywhere after {one['seconds']:.1f} s"
        print(f"{late}: {_some(one['waiting'])}")
    for problem in report.get("problems", []):
        print(f"Not published: {problem}")
    if failed := report.get("audit_failed"):
        print(f"The audit log could not be written: {failed}. Changes are refused until it can.")
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
    if back := report.get("rollback"):
        print()
        print(f"{', '.join(back['nodes'])} refused this generation. Back to the last good one:")
        print(f"  {back['command']}")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _worker(node: str, worker: dict[str, Any]) -> tuple[Any, ...]:
    names = ("index", "pid", "generation", "connections", "restarts")
    return node, *(worker[name] for name in names)


def _convergence(seconds: dict[str, Any]) -> str:
    known = [(name, seconds.get(name)) for name in ("p50", "p99", "last")]
    return ", ".join(f"{name} {value * 1000:.1f} ms" for name, value in known if value is not None)
