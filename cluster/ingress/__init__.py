"""Ingress gateways: which hosts lead to which service, and the names that a gateway answers to.

Belongs here: what both the coordinator and the gateways know of them, as values and decisions. Never here:
sockets, requests, or which services a gateway exposes (`coordinator.compose.ingress_links`).
Source: Consul, "Ingress gateway configuration entry"; Envoy, virtual host domains.
"""

from .addresses import gateway_dns_sans, leaf_dns_sans, service_addresses, service_domains
from .hosts import Hosts, host_patterns
from .routes import (
    CertificateFiles,
    IngressGateway,
    IngressHttp,
    IngressListener,
    IngressService,
    IngressTarget,
    ListenerTls,
)

__all__ = [
    "CertificateFiles",
    "Hosts",
    "IngressGateway",
    "IngressHttp",
    "IngressListener",
    "IngressService",
    "IngressTarget",
    "ListenerTls",
    "gateway_dns_sans",
    "host_patterns",
    "leaf_dns_sans",
    "service_addresses",
    "service_domains",
]
