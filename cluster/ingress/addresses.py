"""The names under which a service is reached through an ingress gateway, and those its certificate holds.

Belongs here: Consul's names for them. Never here: answering DNS, or signing.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cluster.names import DEFAULT

DOMAIN = "consul"


def service_domains(service: str, datacenter: str, domains: Sequence[str] = (DOMAIN,)) -> list[str]:
    """The DNS names that Consul gives a service behind its ingress gateways."""
    return [f"{service}.ingress.{datacenter}.{domain}" for domain in domains if domain]


def service_addresses(port: int, hosts: Iterable[str], default_hosts: Iterable[str]) -> list[str]:
    """`host:port` for each host of a service, else for each default host; none without a port."""
    if not port:
        return []
    return [f"{host.removesuffix('.')}:{port}" for host in tuple(hosts) or default_hosts]


def leaf_dns_sans(
    *,
    datacenter: str,
    hosts: Iterable[str],
    domains: Sequence[str] = (DOMAIN,),
    namespaces: Iterable[str] = (DEFAULT,),
) -> tuple[str, ...]:
    """The DNS SANs of the leaf of a gateway with TLS on any listener; without TLS it has none.

    `hosts` are those of all its listeners; ports are left out.
    """
    wild = [
        f"*.ingress.{name}"
        for domain in domains
        for namespace in namespaces
        for name in _under(namespace, datacenter, domain.removesuffix("."))
    ]
    named = (host.partition(":")[0] for host in hosts)
    return tuple(dict.fromkeys(name for name in (*wild, *named) if name))


def gateway_dns_sans(
    entry: Mapping[str, Any], datacenter: str, domains: Sequence[str] = (DOMAIN,)
) -> tuple[str, ...]:
    """The DNS SANs that the leaf of a gateway with this ingress-gateway entry asks for."""
    listeners = entry.get("Listeners") or ()
    if not any(_has_tls(one) for one in (entry, *listeners)):
        return ()
    services = (service for one in listeners for service in one.get("Services") or ())
    hosts = (host for service in services for host in service.get("Hosts") or ())
    return leaf_dns_sans(datacenter=datacenter, hosts=hosts, domains=domains)


def _has_tls(place: Mapping[str, Any]) -> bool:
    return bool((place.get("TLS") or {}).get("Enabled"))


def _under(namespace: str, datacenter: str, domain: str) -> Iterable[str]:
    tenancy = "" if namespace in ("", DEFAULT) else f"{namespace}."
    if domain:
        yield f"{tenancy}{domain}"
        yield f"{tenancy}{datacenter}.{domain}"
