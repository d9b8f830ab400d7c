"""The kind `jwt-provider`: who issues tokens, by which keys they are verified, where a request holds them.

Belongs here: its fields and rules but those of keys fetched from a server (consul-gateways.md 5.8). Never
here: verifying a token, or which intentions name the provider (`cross`).
"""

import base64
import binascii
from collections.abc import Iterator

from .jwks_remote import REMOTE, remote_rules
from .kind import Body, Kind, entry_shape, meta_rules, name_rules, unenforced
from .report import Finding
from .scalars import Flag, Text, Whole
from .schema import Field, ListOf, Object

CLOCK_SKEW_SECONDS = 30

LOCATION = Object(
    Field(
        name="Header",
        shape=Object(
            Field(name="Name", shape=Text()),
            Field(name="ValuePrefix", shape=Text()),
            Field(name="Forward", shape=Flag()),
        ),
    ),
    Field(name="QueryParam", shape=Object(Field(name="Name", shape=Text()))),
    Field(name="Cookie", shape=Object(Field(name="Name", shape=Text()))),
)
_PLACES = tuple(field.name for field in LOCATION.fields)

LOCAL = Object(Field(name="JWKS", shape=Text()), Field(name="Filename", shape=Text()))

SHAPE = entry_shape(
    Field(
        name="JSONWebKeySet",
        shape=Object(Field(name="Local", shape=LOCAL), Field(name="Remote", shape=REMOTE)),
    ),
    Field(name="Issuer", shape=Text()),
    Field(name="Audiences", shape=ListOf(Text())),
    Field(name="Locations", shape=ListOf(LOCATION)),
    Field(
        name="Forwarding",
        shape=Object(
            Field(name="HeaderName", shape=Text()),
            Field(name="PadForwardPayloadHeader", shape=Flag()),
        ),
    ),
    Field(name="ClockSkewSeconds", shape=Whole(0, 2**31 - 1)),
    Field(name="CacheConfig", shape=Object(Field(name="Size", shape=Whole(0, 2**31 - 1)))),
)


def _normalise(body: Body) -> Body:
    return body | {"ClockSkewSeconds": body.get("ClockSkewSeconds") or CLOCK_SKEW_SECONDS}


def _rules(body: Body) -> Iterator[Finding]:
    yield from name_rules(body)
    yield from _key_rules(body)
    for index, location in enumerate(body.get("Locations", [])):
        yield from _location_rules(location, f"Locations[{index}]")
    if "Forwarding" in body and not body["Forwarding"].get("HeaderName"):
        message = "a header name is required for the forwarding config"
        yield Finding("Forwarding.HeaderName", message)
    yield from meta_rules(body.get("Meta", {}))


def _key_rules(body: Body) -> Iterator[Finding]:
    if "JSONWebKeySet" not in body:
        yield Finding("JSONWebKeySet", "JSONWebKeySet is required")
        return
    keys, path = body["JSONWebKeySet"], "JSONWebKeySet"
    if len(keys) != 1:
        message = "must specify exactly one of Local or Remote JSON Web key set"
        yield Finding(path, message)
    if "Local" in keys:
        yield from _local_rules(keys["Local"], f"{path}.Local")
    if "Remote" in keys:
        yield from remote_rules(keys["Remote"], f"{path}.Remote")


def _local_rules(local: Body, path: str) -> Iterator[Finding]:
    if bool(local.get("JWKS")) == bool(local.get("Filename")):
        message = "must specify exactly one of JWKS or Filename for a local key set"
        yield Finding(path, message)
    if not _is_base64(local.get("JWKS", "")):
        yield Finding(f"{path}.JWKS", "JWKS must be a valid base64 encoded string")


def _is_base64(text: str) -> bool:
    """As Go reads it: line ends do not matter, padding does."""
    try:
        base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _location_rules(location: Body, path: str) -> Iterator[Finding]:
    given = [name for name in _PLACES if name in location]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        yield Finding(path, f"must set exactly one of {', '.join(_PLACES)}, found {found}")
    for name in given:
        if not location[name].get("Name"):
            message = f"the name of a JWT location's {name} must be specified"
            yield Finding(f"{path}.{name}.Name", message)


def _doubts(body: Body) -> Iterator[Finding]:
    if "Remote" in body["JSONWebKeySet"]:
        path = "JSONWebKeySet.Remote"
        yield unenforced("keys from elsewhere; until then no token of this provider counts", path)


JWT_PROVIDER = Kind(
    name="jwt-provider", shape=SHAPE, normalise=_normalise, rules=_rules, doubts=_doubts
)
