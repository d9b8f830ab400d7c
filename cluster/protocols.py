"""The protocol that is spoken to a service, from service-defaults and proxy-defaults.

Belongs here: how a proxy or gateway resolves it (consul-gateways.md 6.2). Never here: the protocol of a
discovery chain, which Consul resolves in another way (`cluster.chain.protocol`), or what a protocol makes a
gateway do.
"""

from collections.abc import Mapping
from typing import Any

from cluster.chain.protocol import TCP, proxies_protocol

Body = Mapping[str, Any]


def resolved_protocol(service_defaults: Body | None, proxy_defaults: Body | None) -> str:
    """The protocol a proxy or gateway speaks for a service: an empty one falls through."""
    own = (service_defaults or {}).get("Protocol", "")
    return own or proxies_protocol(proxy_defaults) or TCP
