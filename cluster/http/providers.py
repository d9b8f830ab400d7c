"""JWT providers as the snapshot carries them: whose tokens count, and where a request holds them.

Belongs here: the portable value, and reading it from a jwt-provider entry. Never here: verifying a token
(`cluster.http.verify`), or keys (`cluster.http.jwks`).
Source: consul-gateways.md 5.8.
"""

import base64
from collections.abc import Iterator, Mapping
from enum import StrEnum, unique
from typing import Any

import msgspec

CLOCK_SKEW_SECONDS = 30
#: Verified tokens that are remembered, as Envoy does.
CACHE_SIZE = 100


@unique
class Place(StrEnum):
    """The part of a request that may hold a token."""

    HEADER = "header"
    QUERY = "query"
    COOKIE = "cookie"


class Location(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One place to look for a token. Of a header, what follows `prefix` is the token."""

    place: Place
    name: str
    prefix: str = ""


#: Where a token is if the provider does not say.
USUAL_LOCATIONS = (
    Location(place=Place.HEADER, name="authorization", prefix="Bearer "),
    Location(place=Place.QUERY, name="access_token"),
)


class JwtProvider(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One jwt-provider with local keys: `jwks` itself, or the name of a file on the gateway's host.

    An empty `issuer` and no `audiences` ask for none. With `forward` a verified token stays in the header
    that it came in. `payload_header` tells the destination what the token says, in base64url.
    """

    name: str
    issuer: str = ""
    audiences: tuple[str, ...] = ()
    jwks: str = ""
    jwks_file: str = ""
    locations: tuple[Location, ...] = USUAL_LOCATIONS
    forward: bool = False
    payload_header: str = ""
    pad_payload: bool = False
    clock_skew_seconds: int = CLOCK_SKEW_SECONDS
    cache_size: int = CACHE_SIZE


def provider_of(entry: Mapping[str, Any]) -> JwtProvider:
    """The provider of a valid entry. One with remote keys gets none, and so verifies nothing."""
    local = (entry.get("JSONWebKeySet") or {}).get("Local") or {}
    forwarding = entry.get("Forwarding") or {}
    spelled = entry.get("Locations") or ()
    return JwtProvider(
        name=entry["Name"],
        issuer=entry.get("Issuer") or "",
        audiences=tuple(entry.get("Audiences") or ()),
        jwks=base64.b64decode(local.get("JWKS") or "").decode(errors="replace"),
        jwks_file=local.get("Filename") or "",
        locations=tuple(_locations(spelled)) if spelled else USUAL_LOCATIONS,
        forward=any((one.get("Header") or {}).get("Forward") for one in spelled),
        payload_header=(forwarding.get("HeaderName") or "").lower(),
        pad_payload=bool(forwarding.get("PadForwardPayloadHeader")),
        clock_skew_seconds=entry.get("ClockSkewSeconds") or CLOCK_SKEW_SECONDS,
        cache_size=(entry.get("CacheConfig") or {}).get("Size") or CACHE_SIZE,
    )


def _locations(spelled: Any) -> Iterator[Location]:
    for one in spelled:
        if header := one.get("Header"):
            yield Location(
                place=Place.HEADER,
                name=header["Name"].lower(),
                prefix=header.get("ValuePrefix") or "",
            )
        elif parameter := one.get("QueryParam"):
            yield Location(place=Place.QUERY, name=parameter["Name"])
        elif cookie := one.get("Cookie"):
            yield Location(place=Place.COOKIE, name=cookie["Name"])
