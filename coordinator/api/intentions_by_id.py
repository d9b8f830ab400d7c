"""Intentions as Consul had them before 1.9: each with an id that it got when it was made.

Belongs here: `POST /v1/connect/intentions` and `/v1/connect/intentions/:uuid`. Never here: the pairs without
an id (`intentions`), which these endpoints do not find. What they make is a source of its destination's entry
like any other; the id goes when the entry is written as an entry.
"""

import uuid
from datetime import UTC, datetime
from typing import Any

from coordinator.acl.rights import Right, intention_read, intention_write
from coordinator.compose.policy import KIND
from coordinator.entries.intention_pair import validate_pair
from coordinator.store.tables import ENTRIES

from .answers import ApiError, refuse
from .body import Fields, read_object
from .endpoint import Call, Do, Read, at
from .entry_writes import put_entry_locked
from .intentions import LIST, checked_entry, entry_of, source_of, write_rest
from .names import service_name
from .needs import in_answer
from .pairs import Pair, find_by_id, find_pair, with_source


async def _create(call: Call) -> dict[str, str]:
    body = Fields(await read_object(call.request))
    if body.text("ID"):
        raise ApiError(400, "ID must be empty when creating a new intention")
    pair = _pair(body, {})
    call.require(intention_write(pair["DestinationName"]))
    identity = str(uuid.UUID(int=call.services.chance.getrandbits(128), version=4))
    now = _now(call)
    async with call.services.writes:
        _refuse_duplicate(call, pair, identity)
        legacy = {"LegacyID": identity, "LegacyCreateTime": now, "LegacyUpdateTime": now}
        await _write(call, pair, legacy, None)
    return {"ID": identity}


def _get(call: Call) -> dict[str, Any]:
    return _found(call).shown


async def _update(call: Call) -> dict[str, str]:
    body = Fields(await read_object(call.request))
    before = _writable(call).shown
    pair = _pair(body, before)
    if pair["DestinationName"] != before["DestinationName"]:
        text = "cannot modify DestinationNS or DestinationName for an intention once it exists."
        raise ApiError(400, text)
    async with call.services.writes:
        _refuse_duplicate(call, pair, before["ID"])
        legacy = {"LegacyID": before["ID"], "LegacyCreateTime": before["CreatedAt"]}
        place = _place(call, before)
        if place is None:
            raise ApiError(404, "Intention not found")  # deleted since
        await _write(call, pair, legacy | {"LegacyUpdateTime": _now(call)}, place)
    return {"ID": before["ID"]}


async def _delete(call: Call) -> bool:
    before = _writable(call).shown
    async with call.services.writes:
        entry, place = entry_of(call, before["DestinationName"]), _place(call, before)
        if entry is not None and place is not None:
            sources = entry.value["Sources"]
            await write_rest(
                call, entry.value | {"Sources": [*sources[:place], *sources[place + 1 :]]}
            )
    return True


async def _write(
    call: Call, pair: dict[str, Any], legacy: dict[str, str], place: int | None
) -> None:
    """Put the pair into its entry, under the lock."""
    meta = {"LegacyMeta": pair["Meta"]} if pair.get("Meta") else {}
    destination = pair["DestinationName"]
    source = source_of(pair) | legacy | meta
    body = with_source(entry_of(call, destination), destination, place, source)
    await put_entry_locked(call.services, checked_entry(body))


def _known(call: Call) -> Pair | None:
    """The intention in the path, if it is there. Raises ApiError (400) for what is no id."""
    try:
        identity = str(uuid.UUID(call.path("id")))
    except ValueError:
        raise ApiError(400, f"Invalid intention ID: {call.path('id')[:64]!r} is no UUID") from None
    return find_by_id(call.services.wanted.state, identity)


def _destination(found: Pair | None) -> str:
    """Who may not know of it is not told from who asks for nothing."""
    return found.shown["DestinationName"] if found else "*"


def _found(call: Call) -> Pair:
    """The intention in the path. Raises ApiError (404)."""
    found = _known(call)
    if found is None:
        raise ApiError(404, "Intention not found")
    return found


def _writable(call: Call) -> Pair:
    """The same for who may write it. Raises ApiError: 403, 404."""
    call.require(intention_write(_destination(_known(call))))
    return _found(call)


def _read_right(call: Call) -> Right:
    return intention_read(_destination(_known(call)))


def _place(call: Call, before: dict[str, Any]) -> int | None:
    """Where the intention stands among the sources now, under the lock."""
    entry = entry_of(call, before["DestinationName"])
    sources = entry.value["Sources"] if entry else ()
    found = (n for n, source in enumerate(sources) if source.get("LegacyID") == before["ID"])
    return next(found, None)


def _refuse_duplicate(call: Call, pair: dict[str, Any], identity: str) -> None:
    """Raises ApiError (500) when another intention is of the same pair."""
    source, destination = pair["SourceName"], pair["DestinationName"]
    found = find_pair(call.services.wanted.state, source, destination)
    if found is not None and found.shown.get("ID") != identity:
        raise ApiError(500, f"duplicate intention found: {source} => {destination} exists already")


def _pair(body: Fields, before: dict[str, Any]) -> dict[str, Any]:
    """The pair in the body, what it leaves out being as before. Raises ApiError."""
    if body.anything("Permissions"):
        text = "Permissions must be omitted: L7 intentions have no id; use the exact endpoint"
        raise ApiError(400, text)
    pair: dict[str, Any] = {"SourceNS": "default", "DestinationNS": "default"}
    for side in ("Source", "Destination"):
        name = body.text(f"{side}Name") or before.get(f"{side}Name", "")
        namespace = body.text(f"{side}NS")
        pair[f"{side}Name"] = name
        if name and namespace:
            service_name(f"{namespace}/{name}", f"{side}NS")
    pair["SourceType"] = body.text("SourceType") or "consul"
    for field in ("Action", "Description", "Meta", "ExpiresAt"):
        value = body.anything(field)
        if value is not None:
            pair[field] = value
    if problems := validate_pair(pair):
        raise refuse(500, problems)
    return pair


def _now(call: Call) -> str:
    """As Go writes a time."""
    now = datetime.fromtimestamp(call.services.clock(), UTC)
    return now.isoformat(timespec="microseconds").replace("+00:00", "Z")


ROUTES = (
    at("/v1/connect/intentions", GET=LIST, POST=Do(answer=_create, needs=in_answer)),
    at(
        "/v1/connect/intentions/{id}",
        GET=Read(answer=_get, needs=_read_right, tables=(ENTRIES,), prefix=lambda _: KIND),
        PUT=Do(answer=_update, needs=in_answer),
        DELETE=Do(answer=_delete, needs=in_answer),
    ),
)
