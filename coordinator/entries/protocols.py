"""The protocol of a service, from service-defaults and proxy-defaults.

Belongs here: Consul's two ways to resolve it (consul-gateways.md 6.2). Never here: what a protocol
makes a gateway do.
"""

from collections.abc import Mapping
from typing import Any

DEFAULT = "tcp"
HTTP_LIKE = frozenset({"http", "http2", "grpc"})

Body = Mapping[str, Any]


def resolved_protocol(service_defaults: Body | None, proxy_defaults: Body | None) -> str:
    """The protocol a proxy or gateway speaks for a service: an empty one falls through."""
    own = (service_defaults or {}).get("Protocol", "")
    return own or _of_proxies(proxy_defaults) or DEFAULT


def chain_protocol(service_defaults: Body | None, proxy_defaults: Body | None) -> str:
    """The protocol of a service's discovery chain, by which entries are judged against each other.

    Where service-defaults exist their protocol counts, an empty one as `tcp`: proxy-defaults are not
    asked then. That is how Consul does it.
    """
    if service_defaults is not None:
        return str(service_defaults.get("Protocol", "")) or DEFAULT
    return _of_proxies(proxy_defaults) or DEFAULT


def _of_proxies(proxy_defaults: Body | None) -> str:
    protocol = (proxy_defaults or {}).get("Config", {}).get("protocol", "")
    return protocol.lower() if isinstance(protocol, str) else ""
