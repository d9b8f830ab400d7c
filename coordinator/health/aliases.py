"""Checks that are as well as another service or node: `AliasService`, `AliasNode`. Pure.

Belongs here: the status of such a check, given all checks. Never here: writing it.
Source: Consul, "Alias checks": the first critical check of the target counts, else any warning, else passing.
"""

from collections.abc import Iterator
from typing import Any

from coordinator.store.records import Record
from coordinator.store.state import State
from coordinator.store.tables import CHECKS, SERVICES


def changed_aliases(state: State) -> Iterator[tuple[Record, str, str]]:
    """Alias checks whose status or output is not what it should be, with what it should be."""
    aliases = [r for r in state.table(CHECKS).values() if r.value.get("Type") == "alias"]
    if not aliases:
        return
    by_node: dict[str, list[dict[str, Any]]] = {}
    for record in state.table(CHECKS).values():
        by_node.setdefault(record.key.partition("/")[0], []).append(record.value)
    for alias in aliases:
        status, output = _mirrored(state, alias, by_node)
        if (status, output) != (alias.value["Status"], alias.value.get("Output", "")):
            yield alias, status, output


def _mirrored(
    state: State, alias: Record, by_node: dict[str, list[dict[str, Any]]]
) -> tuple[str, str]:
    definition = alias.value.get("Definition", {})
    node = definition.get("AliasNode") or alias.key.partition("/")[0]
    service = definition.get("AliasService", "")
    if service and state.get(SERVICES, f"{node}/{service}") is None:
        return "critical", f"Service {service} could not be found on node {node}"
    about = ("", service)
    found = [
        check
        for check in sorted(by_node.get(node, ()), key=lambda check: str(check["CheckID"]))
        if check.get("ServiceID", "") in about and check["CheckID"] != alias.value["CheckID"]
    ]
    for status in ("critical", "warning"):
        for check in found:
            if check["Status"] == status:
                name, said = check.get("Name", ""), check.get("Output", "")
                return status, f'Aliased check "{name}" failing: {said}'
    return "passing", "All checks passing." if found else "No checks found."
