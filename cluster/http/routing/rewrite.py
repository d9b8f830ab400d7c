"""`PrefixRewrite`: the path under which the destination is asked.

Belongs here: the replacement. Never here: whether a path matches.

It is plain text for plain text, but that slashes do not double and no dot segment comes about: with the
prefix `/x` and the rewrite `/`, `/x../secret` must not become `/../secret`.
Source: consul-gateways.md 6.4; Envoy, `prefix_rewrite`.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from cluster.http.request import wire_text
from cluster.http.target import normal_path

Rewrite: TypeAlias = Callable[[str], str]


def rewrite_of(http: Mapping[str, Any], text: str) -> Rewrite | None:
    """How a path that matched `http` is rewritten; None if it is not."""
    text = wire_text(text)
    if not text:
        return None
    if http.get("PathExact"):
        whole = _joined(text, "")
        return lambda _: whole
    if prefix := http.get("PathPrefix"):
        cut = len(wire_text(prefix))
        return lambda path: _joined(text, path[cut:])
    return None


def _joined(text: str, rest: str) -> str:
    if text.endswith("/") and rest.startswith("/"):
        rest = rest[1:]
    path = text + rest
    if not path.startswith("/"):
        path = f"/{path}"
    return normal_path(path) if "/." in path else path
