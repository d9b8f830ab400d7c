"""Configuration entries: `/v1/config`.

Belongs here: Consul's endpoints for entries as they are. Never here: intentions as pairs (`intentions`).
A body that cannot be decoded gets 400, an entry that is not valid 500, as Consul answers.
"""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from cluster.documents.document import from_plain
from cluster.documents.faults import SyntaxFault
from cluster.errors import Problem
from coordinator.entries.entry import KINDS, LATER, Checked, check_entry, read_body
from coordinator.entries.mesh import MESH
from coordinator.entries.report import Report
from coordinator.store.records import Record
from coordinator.store.tables import ENTRIES

from .answers import ApiError, json_answer, refuse
from .body import Fields, read_object
from .call import Rights
from .endpoint import Call, Do, Read, at
from .entry_rights import entry_read, entry_write
from .entry_rows import entry_rows
from .entry_writes import delete_entry, entry_key, put_entry
from .filtering import Filterable
from .needs import each, in_answer
from .parameters import cas_index

WARNING_HEADER = "X-Lockgate-Warning"


def shown(record: Record) -> dict[str, Any]:
    """An entry as it is read: with its indexes, and the mesh's without a name, as Consul shows it."""
    value = dict(record.value)
    if value["Kind"] == MESH.name:
        del value["Name"]
    return value | {
        "CreateIndex": record.create_index,
        "ModifyIndex": record.modify_index,
    }


def checked_entry(body: Mapping[str, Any]) -> tuple[Checked, tuple[Problem, ...]]:
    """The entry in a body and its warnings. Raises ApiError: 400 undecodable, 500 not valid."""
    name = Fields(body).text("Kind")
    if name in KINDS and (undecodable := _decode_problems(body, name)):
        raise refuse(400, undecodable)
    checked, problems, warnings = check_entry(body)
    if checked is None:
        raise refuse(500 if name in KINDS else 400, problems)
    return checked, warnings


def _decode_problems(body: Mapping[str, Any], kind: str) -> tuple[Problem, ...]:
    report = Report()
    try:
        read_body(from_plain(body), KINDS[kind], report)
    except SyntaxFault as error:
        return (Problem(message=str(error)),)
    return report.sorted()


async def _write(call: Call) -> Response:
    cas = cas_index(call.request.query_params)
    checked, warnings = checked_entry(await read_object(call.request))
    call.require(entry_write(checked.kind, checked.name, checked.body))
    written = await put_entry(call.services, checked, cas=cas)
    response = json_answer(written)
    for warning in warnings:
        response.headers.append(WARNING_HEADER, _header_text(warning))
    return response


def _header_text(warning: Problem) -> str:
    """A header holds printable ASCII only."""
    return "".join(c if " " <= c <= "~" else "?" for c in str(warning))


async def _delete(call: Call) -> Any:
    kind, name = _kind(call), call.path("name")
    cas = cas_index(call.request.query_params)
    deleted = await delete_entry(call.services, kind, name, cas=cas)
    return {} if cas is None else deleted


def _read(call: Call) -> dict[str, Any]:
    kind, name = _kind(call), call.path("name")
    record = call.state.get(ENTRIES, entry_key(kind, name))
    if record is None:
        raise ApiError(404, f'Config entry not found for "{kind}" / "{name}"')
    return shown(record)


def _list(call: Call) -> list[dict[str, Any]]:
    found = call.state.under(ENTRIES, f"{_kind(call)}/")
    return [shown(record) for record in sorted(found, key=lambda record: record.key)]


def _kind(call: Call) -> str:
    """The kind in the path; of a kind that we do not have yet there are simply no entries."""
    kind = call.path("kind")
    if kind not in KINDS and kind not in LATER:
        raise ApiError(400, f"invalid config entry kind: {kind[:64]}")
    return kind


def _rows(call: Call) -> Filterable:
    return entry_rows(_kind(call))


def _one(call: Call) -> str:
    return entry_key(call.path("kind"), call.path("name"))


def _all(call: Call) -> str:
    return f"{call.path('kind')}/"


def _readable(row: Mapping[str, Any]) -> Rights:
    return entry_read(row["Kind"], row.get("Name", ""))


def _read_right(call: Call) -> Rights:
    return entry_read(_kind(call), call.path("name"))


def _delete_right(call: Call) -> Rights:
    return entry_write(_kind(call), call.path("name"))


ROUTES = (
    at("/v1/config", PUT=Do(answer=_write, needs=in_answer)),
    at(
        "/v1/config/{kind}",
        GET=Read(
            answer=_list, needs=each(_readable), tables=(ENTRIES,), prefix=_all, filterable=_rows
        ),
    ),
    at(
        "/v1/config/{kind}/{name}",
        GET=Read(answer=_read, needs=_read_right, tables=(ENTRIES,), prefix=_one),
        DELETE=Do(answer=_delete, needs=_delete_right),
    ),
)
