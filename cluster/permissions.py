"""L7 permissions of an intention: which of them a request meets, and what that says.

Belongs here: Consul's rules of matching a request (its "Permission matching"). Never here: which intention is
asked (`cluster.intentions`), or HTTP on the wire.

All criteria of a permission must hold. The path is compared without query and fragment. A permission that
wants a JSON Web Token is met only by a request of which somebody has verified one.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
import re2

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_END_OF_PATH = re.compile(r"[?#]")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What permissions look at. `tokens` are the providers whose token was verified, with its claims."""

    method: str = "GET"
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    tokens: dict[str, dict[str, Any]] = {}

    def header(self, name: str) -> str | None:
        """The value of a header, several joined with a comma; None if there is none."""
        wanted = name.lower()
        found = [value for key, value in self.headers if key.lower() == wanted]
        return ",".join(found) if found else None


def deciding_permission(permissions: Sequence[Mapping[str, Any]], request: Request) -> int | None:
    """The place of the first that the request meets; its action decides. None: the default policy does."""
    return next((n for n, one in enumerate(permissions) if matches(one, request)), None)


def matches(permission: Mapping[str, Any], request: Request) -> bool:
    """Whether the request meets every criterion of the permission."""
    http = permission.get("HTTP") or {}
    methods = http.get("Methods") or ()
    return (
        _path_matches(http, _END_OF_PATH.split(request.path, maxsplit=1)[0])
        and (not methods or request.method in methods)
        and all(_header_matches(header, request) for header in http.get("Header") or ())
        and _token_matches(permission.get("JWT") or {}, request)
    )


def _path_matches(http: Mapping[str, Any], path: str) -> bool:
    if exact := http.get("PathExact"):
        return path == str(exact)
    if prefix := http.get("PathPrefix"):
        return path.startswith(str(prefix))
    if pattern := http.get("PathRegex"):
        return _whole(str(pattern), path)
    return True


def _header_matches(header: Mapping[str, Any], request: Request) -> bool:
    """`Invert` turns the answer round, also that of a header that is absent."""
    value = request.header(str(header.get("Name", "")))
    found = value is not None and _value_matches(header, value)
    return found != bool(header.get("Invert"))


_COMPARED: Mapping[str, Callable[[str, str], bool]] = {
    "Exact": str.__eq__,
    "Prefix": str.startswith,
    "Suffix": str.endswith,
    "Contains": str.__contains__,
}


def _value_matches(header: Mapping[str, Any], value: str) -> bool:
    if header.get("Present"):
        return True
    if pattern := header.get("Regex"):
        return _whole(str(pattern), value)
    for name, compare in _COMPARED.items():
        if wanted := header.get(name):
            if header.get("IgnoreCase"):
                return compare(value.lower(), str(wanted).lower())
            return compare(value, str(wanted))
    return False


def _token_matches(jwt: Mapping[str, Any], request: Request) -> bool:
    """A verified token of any provider that is named, with every claim that is asked for."""
    providers = jwt.get("Providers") or ()
    return not providers or any(_has_token(provider, request) for provider in providers)


def _has_token(provider: Mapping[str, Any], request: Request) -> bool:
    claims = request.tokens.get(str(provider.get("Name", "")))
    wanted = provider.get("VerifyClaims") or ()
    return claims is not None and all(
        _claim_matches(claims, one.get("Path") or (), str(one.get("Value", ""))) for one in wanted
    )


def _claim_matches(claims: Any, path: Iterable[str], value: str) -> bool:
    for name in path:
        claims = claims.get(name) if isinstance(claims, Mapping) else None
    return value in claims if isinstance(claims, list) else bool(claims == value)


def _whole(pattern: str, text: str) -> bool:
    """RE2, and the whole text; what is no pattern matches nothing."""
    compiled = _compiled(pattern)
    return compiled is not None and compiled.fullmatch(text) is not None


@lru_cache(1024)
def _compiled(pattern: str) -> Any:
    try:
        return re2.compile(pattern, _OPTIONS)
    except re2.error:
        return None
