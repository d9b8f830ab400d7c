"""Checks that are as well as another service or node: `AliasService`, `AliasNode`. Pure.

Belongs here: the status of such a check, given the others. Never here: writing it.
Source: Consul, "Alias checks": the first critical check of the target counts, else any warning, else passing.
"""

from collections.abc import Iterable, Iterator

from coordinator.catalog_index import CatalogIndex, node_of
from coordinator.store.records import Record


def changed_aliases(
    catalog: CatalogIndex, checks: Iterable[Record]
) -> Iterator[tuple[Record, str, str]]:
    """Those of these checks that are aliases of another status or output than they should be, with that."""
    for check in checks:
        if check.value.get("Type") != "alias":
            continue
        status, output = _mirrored(catalog, check)
        if (status, output) != (check.value["Status"], check.value.get("Output", "")):
            yield check, status, output


def _mirrored(catalog: CatalogIndex, alias: Record) -> tuple[str, str]:
    definition = alias.value.get("Definition", {})
    node = definition.get("AliasNode") or node_of(alias)
    service = definition.get("AliasService", "")
    if service and not catalog.has(node, service):
        return "critical", f"Service {service} could not be found on node {node}"
    found = [check for check in catalog.checks_of(node, service) if check.key != alias.key]
    for status in ("critical", "warning"):
        for check in found:
            if check.value["Status"] == status:
                name, said = check.value.get("Name", ""), check.value.get("Output", "")
                return status, f'Aliased check "{name}" failing: {said}'
    return "passing", "All checks passing." if found else "No checks found."
