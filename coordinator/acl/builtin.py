"""What there is without anybody having written it: two policies and the anonymous token. Pure.

Belongs here: the values, under the ids that Consul gives them. Never here: what can be changed.
"""

from typing import Any

from .rules import MANAGEMENT, NAMED, READ_ONLY, SINGLE, Rules
from .speaker import ANONYMOUS_ACCESSOR

MANAGEMENT_ID = "00000000-0000-0000-0000-000000000001"
READ_ONLY_ID = "00000000-0000-0000-0000-000000000002"
RESERVED = "00000000-0000-0000-0000-0000000000"

RULES: dict[str, Rules] = {MANAGEMENT_ID: MANAGEMENT, READ_ONLY_ID: READ_ONLY}


def _text(access: str) -> str:
    """The rules that stand for everything, as a policy would write them."""
    named = (one for one in NAMED if one != "service")
    lines = [f'{one}_prefix "" {{\n  policy = "{access}"\n}}' for one in named]
    both = f'  policy = "{access}"\n  intentions = "{access}"\n'
    lines += [f'service_prefix "" {{\n{both}}}', *(f'{one} = "{access}"' for one in SINGLE)]
    return "\n".join(lines) + "\n"


POLICIES: dict[str, dict[str, Any]] = {
    MANAGEMENT_ID: {
        "ID": MANAGEMENT_ID,
        "Name": "global-management",
        "Description": "Builtin Policy that grants unlimited access",
        "Rules": _text("write"),
    },
    READ_ONLY_ID: {
        "ID": READ_ONLY_ID,
        "Name": "builtin/global-read-only",
        "Description": "Builtin Policy that grants unlimited read-only access to all components",
        "Rules": _text("read"),
    },
}

ANONYMOUS: dict[str, Any] = {
    "AccessorID": ANONYMOUS_ACCESSOR,
    "Description": "Anonymous Token",
}
