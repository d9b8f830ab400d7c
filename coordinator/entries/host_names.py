"""Names of hosts, as destinations and ingress gateways give them.

Belongs here: their syntax. Never here: which host of a request a name matches.
"""

import ipaddress
import re

_NAME = re.compile(r"(?=.{1,254}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_-]{1,63})*\.?")
_PORT = re.compile(r":[0-9]{1,5}$")


def is_address(text: str) -> bool:
    """Whether the text is an IP address or a DNS name without wildcard."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _NAME.fullmatch(text) is not None
    return True


def host_fault(host: str) -> str:
    """What is wrong with a host that an ingress gateway is to serve, or "" (3.3, lines 14 and 15).

    A host may end in a port, and begin with `*` as a label of its own.
    """
    name = _PORT.sub("", host)
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    rest = name.removeprefix("*.")
    if host == "*" or is_address(rest):
        return ""
    if not is_address(rest.replace("*", "x")):
        return f"host {host[:64]!r} must be a valid DNS hostname"
    return f"host {host[:64]!r} is not valid, a wildcard specifier is only allowed as the leftmost label"
