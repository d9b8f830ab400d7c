"""Header modifiers of a split within a split.

Belongs here: Consul's rule of who wins. Never here: changing a header.
"""

from collections.abc import Mapping
from typing import Any

Modifiers = Mapping[str, Any]


def merged(inner: Mapping[str, Any], outer: Mapping[str, Any]) -> dict[str, Any]:
    """The inner split with the header modifiers of both.

    Per name of a header the inner one wins on the way in, the outer one on the way back: they work like
    one around the other.
    """
    result = dict(inner)
    for field, under, over in (
        ("RequestHeaders", outer, inner),
        ("ResponseHeaders", inner, outer),
    ):
        both = _joined(under.get(field) or {}, over.get(field) or {})
        if both:
            result[field] = both
    return result


def _joined(under: Modifiers, over: Modifiers) -> dict[str, Any]:
    joined: dict[str, Any] = {
        name: {**(under.get(name) or {}), **(over.get(name) or {})} for name in ("Add", "Set")
    }
    names = (*(under.get("Remove") or ()), *(over.get("Remove") or ()))
    joined["Remove"] = list(dict.fromkeys(names))
    return {name: value for name, value in joined.items() if value}
