"""Intentions as pairs: `/v1/connect/intentions/exact` and the list, a view on the entries that hold them.

Belongs here: reading and writing single pairs by their names. Never here: by an id (`intentions_by_id`), or
what they decide (`intention_answers`).
"""

from typing import Any

from cluster.filters.shapes import ANYTHING, TEXT, TEXT_MAP, WHOLE, Record
from cluster.names import ServiceName
from coordinator.acl.rights import Right, intention_read, intention_write
from coordinator.compose.policy import KIND
from coordinator.entries.entry import Checked, check_entry
from coordinator.entries.intention_pair import validate_pair
from coordinator.store.records import Record as Stored
from coordinator.store.tables import ENTRIES

from .answers import ApiError, refuse
from .body import Fields, read_object
from .endpoint import Call, Do, Read, at
from .entry_writes import delete_entry_locked, entry_key, put_entry_locked
from .filtering import Filterable
from .names import service_parameter
from .needs import each
from .pairs import find_pair, with_pair, without_pair

_TEXTS = ("SourceNS", "SourceName", "SourcePeer", "SourcePartition", "DestinationNS")
_MORE_TEXTS = (
    "DestinationName",
    "DestinationPartition",
    "SourceType",
    "Action",
    "Description",
    "ID",
)
_SHAPE = Record(
    dict.fromkeys((*_TEXTS, *_MORE_TEXTS, "CreatedAt", "UpdatedAt", "ExpiresAt"), TEXT)
    | dict.fromkeys(("Precedence", "CreateIndex", "ModifyIndex"), WHOLE)
    | {"Permissions": ANYTHING, "JWT": ANYTHING, "Meta": TEXT_MAP}
)
_ASIDE = ("Action", "Permissions", "Description", "Meta", "ExpiresAt")


def _list(call: Call) -> list[dict[str, Any]]:
    return [pair.shown for pair in call.services.pairs.all()]


def _get(call: Call) -> dict[str, Any]:
    source, destination = _asked(call)
    pair = find_pair(call.state, source.name, destination.name)
    if pair is None:
        raise ApiError(404, "Intention not found")
    return pair.shown


async def _put(call: Call) -> bool:
    source, destination = _asked(call)
    pair = _pair(Fields(await read_object(call.request)), source, destination)
    if problems := validate_pair(pair):
        raise refuse(500, problems)
    async with call.services.writes:
        entry = entry_of(call, destination.name)
        body = with_pair(entry, destination.name, source_of(pair)) | _meta(entry, pair)
        await put_entry_locked(call.services, checked_entry(body))
    return True


def _meta(entry: Stored | None, pair: dict[str, Any]) -> dict[str, Any]:
    """Metadata is the whole entry's, as in Consul: it comes with the first pair and stays.

    Raises ApiError (500) for other metadata than there is.
    """
    wanted = pair.get("Meta")
    if not wanted:
        return {}
    if entry is not None and wanted != entry.value.get("Meta", {}):
        text = "Meta must not be specified, or should be unchanged during an update."
        raise ApiError(500, text)
    return {"Meta": wanted}


async def _delete(call: Call) -> bool:
    source, destination = _asked(call)
    async with call.services.writes:
        entry = entry_of(call, destination.name)
        if entry is not None:
            await write_rest(call, without_pair(entry, source.name))
    return True


async def write_rest(call: Call, body: dict[str, Any]) -> None:
    """Write what is left of an entry, or delete it when no source is left. Under the lock."""
    if body["Sources"]:
        await put_entry_locked(call.services, checked_entry(body))
    else:
        await delete_entry_locked(call.services, KIND, body["Name"])


def _asked(call: Call) -> tuple[ServiceName, ServiceName]:
    return service_parameter(call, "source"), service_parameter(call, "destination")


def entry_of(call: Call, destination: str) -> Stored | None:
    """The entry as it is now, under the lock."""
    return call.services.wanted.state.get(ENTRIES, entry_key(KIND, destination))


def _pair(body: Fields, source: ServiceName, destination: ServiceName) -> dict[str, Any]:
    """The body with the names of the query string, which count, and Consul's defaults."""
    given = {name: body.anything(name) for name in _ASIDE}
    return {name: value for name, value in given.items() if value is not None} | {
        "SourceNS": source.namespace,
        "SourceName": source.name,
        "DestinationNS": destination.namespace,
        "DestinationName": destination.name,
        "SourceType": body.text("SourceType") or "consul",
    }


def source_of(pair: dict[str, Any]) -> dict[str, Any]:
    """The pair as an element of `Sources`."""
    source = {"Name": pair["SourceName"], "Type": pair["SourceType"]}
    return source | {name: pair[name] for name in _ASIDE if name in pair and name != "Meta"}


def checked_entry(body: dict[str, Any]) -> Checked:
    """The entry in its stored form. Raises ApiError (500)."""
    checked, problems, _ = check_entry(body, legacy=True)
    if checked is None:
        raise refuse(500, problems)
    return checked


def _read_right(call: Call) -> Right:
    return intention_read(service_parameter(call, "destination").name)


def _write_right(call: Call) -> Right:
    return intention_write(service_parameter(call, "destination").name)


LIST = Read(
    answer=_list,
    needs=each(lambda pair: intention_read(pair["DestinationName"])),
    tables=(ENTRIES,),
    prefix=lambda _: KIND,
    filterable=Filterable(shape=_SHAPE),
)

ROUTES = (
    at(
        "/v1/connect/intentions/exact",
        GET=Read(answer=_get, needs=_read_right, tables=(ENTRIES,), prefix=lambda _: KIND),
        PUT=Do(answer=_put, needs=_write_right),
        DELETE=Do(answer=_delete, needs=_write_right),
    ),
)
