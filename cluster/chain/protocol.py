"""The protocol of a service as its chain takes it.

Belongs here: which entry says it, and which protocols carry HTTP requests. Never here: what is spoken to a
service in the end; an empty protocol is resolved in another way there (consul-gateways.md 6.2).
"""

from .entries import GLOBAL, PROXY_DEFAULTS, SERVICE_DEFAULTS, Body, Entries

TCP = "tcp"
HTTP_LIKE = frozenset({"http", "http2", "grpc"})
#: Of these, the ones whose instances are spoken to in HTTP/2.
HTTP2_LIKE = frozenset({"http2", "grpc"})


def service_protocol(entries: Entries, service: str) -> str:
    """Where service-defaults exist their protocol counts, an empty one as `tcp`; else proxy-defaults'.

    That is how Consul does it in a chain.
    """
    own = entries(SERVICE_DEFAULTS, service)
    if own is not None:
        return str(own.get("Protocol") or TCP).lower()
    return proxies_protocol(entries(PROXY_DEFAULTS, GLOBAL)) or TCP


def proxies_protocol(proxy_defaults: Body | None) -> str:
    """The protocol that proxy-defaults give to every service; empty if they say none."""
    protocol = ((proxy_defaults or {}).get("Config") or {}).get("protocol", "")
    return protocol.lower() if isinstance(protocol, str) else ""
