"""What an intention asks of JSON Web Tokens that somebody has verified.

Belongs here: which providers will do, and what their token has to claim. Never here: verifying one
(`cluster.http.jwt`).
Source: consul-gateways.md 5.8.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

Fields: TypeAlias = Mapping[str, Any]
#: The claims of each verified token, by the name of its provider.
Claims: TypeAlias = Mapping[str, Mapping[str, Any]]
#: The `Issuer` of each jwt-provider, by name.
Issuers: TypeAlias = Mapping[str, str]
TokenTest: TypeAlias = Callable[[Claims], bool]

NO_CLAIMS: Claims = MappingProxyType({})
NO_ISSUERS: Issuers = MappingProxyType({})


def token_test(jwt: Fields | None, issuers: Issuers) -> TokenTest | None:
    """Whether a verified token of any provider named says all that is asked; None if none is asked for."""
    tests = tuple(_provider_test(one, issuers) for one in (jwt or {}).get("Providers") or ())
    if not tests:
        return None
    return lambda claims: any(test(claims) for test in tests)


def providers_named(jwt: Fields | None) -> frozenset[str]:
    """The providers whose tokens are worth verifying."""
    return frozenset(one.get("Name", "") for one in (jwt or {}).get("Providers") or ())


def _provider_test(provider: Fields, issuers: Issuers) -> TokenTest:
    """A provider that is not there has verified nothing."""
    name = provider.get("Name", "")
    issuer = issuers.get(name)
    wanted = tuple(
        (tuple(one.get("Path") or ()), one.get("Value", ""))
        for one in provider.get("VerifyClaims") or ()
    )

    def test(claims: Claims) -> bool:
        token = claims.get(name)
        if token is None or issuer is None or (issuer and token.get("iss") != issuer):
            return False
        return all(_says(token, path, value) for path, value in wanted)

    return test


def _says(claims: Any, path: Iterable[str], value: str) -> bool:
    """Whether the claim at a path is the value, or a list that holds it."""
    for name in path:
        claims = claims.get(name) if isinstance(claims, Mapping) else None
    return value in claims if isinstance(claims, list) else bool(claims == value)
