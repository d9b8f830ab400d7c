"""Cookies: reading one of a request, and making the one that keeps a client with an endpoint.

Belongs here: RFC 6265's two headers. Never here: what a cookie is for.
"""

from .request import Headers


def cookie_value(headers: Headers, name: str) -> str | None:
    """The first cookie of that name; None if there is none. HTTP/2 may send them in several headers."""
    for header, value in headers:
        if header == "cookie":
            for part in value.split(";"):
                key, equals, text = part.strip().partition("=")
                if equals and key == name:
                    return _unquoted(text)
    return None


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def set_cookie(name: str, value: str, *, path: str = "", max_age_seconds: int | None = None) -> str:
    """A `Set-Cookie` header that scripts cannot read; without an age it ends with the browser's session."""
    parts = [f"{name}={value}"]
    if max_age_seconds is not None:
        parts.append(f"Max-Age={max_age_seconds}")
    if path:
        parts.append(f"Path={path}")
    return "; ".join((*parts, "HttpOnly"))
