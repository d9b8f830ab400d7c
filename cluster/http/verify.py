"""The tokens of a request: finding, verifying, and what of them goes on to the destination.

Belongs here: JSON Web Tokens by local keys. Never here: which claims an intention wants
(`cluster.http.tokens`), or refusing a request: one without a valid token goes on to be judged without.

A used token is taken out of its header unless the provider forwards it; in a query or a cookie it stays.

The clock is handed in. What the keys say of a token is remembered (`verdicts`); its times are looked at again
each time.
Source: RFC 7519; consul-gateways.md 5.8; Envoy, "JWT Authentication".
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .cookies import cookie_value
from .criteria import parameter_value
from .jwks import BadToken, KeySet
from .providers import JwtProvider, Location, Place
from .request import Headers, Request, wire_text
from .tokens import NO_CLAIMS, Claims
from .verdicts import Verdicts

MAX_TOKEN_CHARACTERS = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What the tokens of one request came to. `faults` says by provider why a token does not count."""

    claims: Claims = field(default_factory=lambda: NO_CLAIMS)
    faults: Mapping[str, str] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    added: Headers = ()

    def headers(self, headers: Headers) -> Headers:
        """The headers that go on: used tokens removed, what they say added, and never by the client."""
        if not self.removed:
            return headers
        return (*(one for one in headers if one[0] not in self.removed), *self.added)


NOTHING_ASKED = Verified()


class TokenVerifier:
    """All providers of a snapshot, their keys read. Compile it once."""

    __slots__ = ("_checks", "_told")

    def __init__(
        self,
        providers: Iterable[JwtProvider],
        key_files: Mapping[str, str] | None = None,
        before: "TokenVerifier | None" = None,
    ) -> None:
        """`key_files` are the texts of `jwks_file`s by name; of one that is not there no token counts.

        Providers that are those of `before`, keys included, keep what they remember.
        """
        texts = key_files or {}
        known: Mapping[str, _Check] = before._checks if before is not None else {}
        self._checks: Mapping[str, _Check] = {
            one.name: _check(one, one.jwks or texts.get(one.jwks_file, ""), known.get(one.name))
            for one in providers
        }
        self._told = frozenset(
            check.provider.payload_header
            for check in self._checks.values()
            if check.provider.payload_header
        )

    @property
    def tells(self) -> bool:
        """Whether some provider has a header of its own, which no client may write."""
        return bool(self._told)

    def verify(self, providers: Iterable[str], request: Request, now: float) -> Verified:
        """The tokens of these providers (`RequestPolicy.providers`) at `now`, in seconds since 1970."""
        checks = [self._checks[name] for name in sorted(providers) if name in self._checks]
        if not checks:
            return Verified(removed=self._told) if self._told else NOTHING_ASKED
        claims: dict[str, Mapping[str, Any]] = {}
        faults: dict[str, str] = {}
        removed = set(self._told)
        added: list[tuple[str, str]] = []
        for check in checks:
            try:
                said, token, location = check.verify(request, now)
            except BadToken as error:
                faults[check.provider.name] = str(error)
                continue
            claims[check.provider.name] = said
            if location.place is Place.HEADER and not check.provider.forward:
                removed.add(location.name)
            added += check.told(token)
        return Verified(
            claims=claims, faults=faults, removed=frozenset(removed), added=tuple(added)
        )


def _check(provider: JwtProvider, keys: str, before: "_Check | None") -> "_Check":
    if before is not None and (before.provider, before.keys) == (provider, keys):
        return before
    return _Check(provider, keys)


class _Check:
    """One provider, and the text of its keys."""

    __slots__ = ("_verdicts", "keys", "provider")

    def __init__(self, provider: JwtProvider, keys: str) -> None:
        self.provider = provider
        self.keys = keys
        self._verdicts = Verdicts(KeySet(keys), provider.cache_size)

    def verify(self, request: Request, now: float) -> tuple[dict[str, Any], str, Location]:
        """What the first token that counts says, itself, and where it was. Raises `BadToken`."""
        fault = BadToken("there is no token")
        for location in self.provider.locations:
            token = token_at(location, request)
            if token is None:
                continue
            try:
                return self._claims(token, now), token, location
            except BadToken as error:
                fault = error
        raise fault

    def _claims(self, token: str, now: float) -> dict[str, Any]:
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise BadToken(f"it is longer than {MAX_TOKEN_CHARACTERS} characters")
        claims = self._verdicts.signed(token)
        judge_claims(claims, self.provider, now)
        return claims

    def told(self, token: str) -> Iterator[tuple[str, str]]:
        """The header that tells the destination what the token says, in the token's own bytes."""
        if self.provider.payload_header:
            payload = token.split(".")[1]
            padding = "=" * (-len(payload) % 4) if self.provider.pad_payload else ""
            yield self.provider.payload_header, payload + padding


def token_at(location: Location, request: Request) -> str | None:
    """The token at a place; None if there is nothing there."""
    match location.place:
        case Place.QUERY:
            return parameter_value(request.query, wire_text(location.name)) or None
        case Place.COOKIE:
            return cookie_value(request.headers, location.name) or None
        case Place.HEADER:
            value = request.header(location.name)
            if value is None or not value.startswith(location.prefix):
                return None
            return value.removeprefix(location.prefix).strip() or None


def judge_claims(claims: Mapping[str, Any], provider: JwtProvider, now: float) -> None:
    """Raises `BadToken` if a signed token is not for us, or not for now."""
    if provider.issuer and claims.get("iss") != provider.issuer:
        raise BadToken("it is of another issuer")
    if provider.audiences and not _audiences(claims) & set(provider.audiences):
        raise BadToken("it is for another audience")
    skew = provider.clock_skew_seconds
    if now >= _moment(claims, "exp", float("inf")) + skew:
        raise BadToken("it has expired")
    if now < _moment(claims, "nbf", 0.0) - skew:
        raise BadToken("it is not valid yet")


def _audiences(claims: Mapping[str, Any]) -> set[str]:
    said = claims.get("aud")
    named = said if isinstance(said, list) else [said]
    return {one for one in named if isinstance(one, str)}


def _moment(claims: Mapping[str, Any], name: str, default: float) -> float:
    """Seconds since 1970."""
    said = claims.get(name, default)
    if isinstance(said, bool) or not isinstance(said, int | float):
        raise BadToken(f"its {name} is no number")
    try:
        return float(said)
    except OverflowError:
        raise BadToken(f"its {name} is no moment") from None
