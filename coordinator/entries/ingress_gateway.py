"""The kind `ingress-gateway`: on which ports a gateway lets requests from outside into the mesh, and to whom.

Belongs here: its fields and the rules on listeners, services and hosts (consul-gateways.md 3.2, 3.3). Never
here: certificates of a secret server (`ingress_sds`), matching a host, or rules that need another entry.
"""

from collections.abc import Iterator

from .header_modifiers import HEADERS
from .host_names import host_fault
from .ingress_sds import gateway_sds_rules, listener_sds_rules, sds_doubts, service_sds_rules
from .ingress_tls import SERVICE_TLS, TLS, files_rules, service_files_rules, speaks_tls
from .kind import (
    Body,
    Kind,
    entry_shape,
    meta_rules,
    name_rules,
)
from .proxy_fields import PROTOCOLS
from .report import Finding
from .scalars import Tenancy, Text, Whole
from .schema import Field, ListOf, Object, TableOf
from .tls_parameters import tls_rules
from .upstream_config import PASSIVE_HEALTH_CHECK

_UINT32 = Whole(0, 2**32 - 1)

LIMITS = (
    Field(name="MaxConnections", shape=_UINT32),
    Field(name="MaxPendingRequests", shape=_UINT32),
    Field(name="MaxConcurrentRequests", shape=_UINT32),
    Field(name="PassiveHealthCheck", shape=PASSIVE_HEALTH_CHECK),
)


SERVICE = Object(
    Field(name="Name", shape=Text()),
    Field(name="Namespace", shape=Tenancy("namespace")),
    Field(name="Partition", shape=Tenancy("partition")),
    Field(name="Hosts", shape=ListOf(Text())),
    Field(name="TLS", shape=SERVICE_TLS),
    *HEADERS,
    *LIMITS,
    Field(name="Meta", shape=TableOf()),
)

LISTENER = Object(
    Field(name="Port", shape=Whole(), keep=True),
    Field(name="Protocol", shape=Text()),
    Field(name="TLS", shape=TLS),
    Field(name="Services", shape=ListOf(SERVICE)),
)

SHAPE = entry_shape(
    Field(name="TLS", shape=TLS),
    Field(name="Defaults", shape=Object(*LIMITS)),
    Field(name="Listeners", shape=ListOf(LISTENER)),
)


def _normalise(body: Body) -> Body:
    return body | {"Listeners": [_listener(listener) for listener in body.get("Listeners", [])]}


def _listener(listener: Body) -> Body:
    protocol = listener.get("Protocol", "").lower() or "tcp"
    return {"Port": 0, "Services": []} | listener | {"Protocol": protocol}


def _rules(body: Body) -> Iterator[Finding]:
    yield from name_rules(body)
    gateway_tls = body.get("TLS", {})
    yield from tls_rules(gateway_tls, "TLS")
    yield from files_rules(gateway_tls, "TLS")
    yield from gateway_sds_rules(gateway_tls, "TLS")
    first: dict[int, int] = {}
    for index, listener in enumerate(body["Listeners"]):
        path, port = f"Listeners[{index}]", listener["Port"]
        if first.setdefault(port, index) != index:
            message = f"port {port} declared on two listeners, first on Listeners[{first[port]}]"
            yield Finding(f"{path}.Port", message)
        yield from _listener_rules(listener, gateway_tls, path)
    yield from meta_rules(body.get("Meta", {}))


def _listener_rules(listener: Body, gateway_tls: Body, path: str) -> Iterator[Finding]:
    protocol, services = listener["Protocol"], listener["Services"]
    where = f"listener on port {listener['Port']}"
    if protocol not in PROTOCOLS:
        message = (
            f"protocol must be one of {', '.join(PROTOCOLS)}, {protocol[:64]!r} is unsupported"
        )
        yield Finding(f"{path}.Protocol", message)
    if not services:
        yield Finding(f"{path}.Services", f"no service declared for the {where}")
    is_bare = protocol == "tcp" and not speaks_tls(listener, gateway_tls)
    if is_bare and len(services) > 1:
        message = f"multiple services per listener are only supported for L7 protocols ({where})"
        yield Finding(f"{path}.Services", f"{message}, or with TLS")
    tls = listener.get("TLS", {})
    yield from tls_rules(tls, f"{path}.TLS")
    yield from files_rules(tls, f"{path}.TLS")
    yield from listener_sds_rules(tls, gateway_tls, f"{path}.TLS", where)
    yield from _services_rules(services, f"{path}.Services", where)
    for index, service in enumerate(services):
        place = f"{path}.Services[{index}]"
        if protocol == "tcp":
            yield from _tcp_rules(service, place)
        if is_bare and service.get("Hosts"):
            message = "associating hosts to a service is not supported for the tcp protocol"
            yield Finding(f"{place}.Hosts", f"{message} without TLS")
        yield from service_files_rules(service, place)
        yield from _hosts_rules(service, bool(gateway_tls.get("Enabled")), place)
        yield from service_sds_rules(service, tls, gateway_tls, place)


def _services_rules(services: list[Body], path: str, where: str) -> Iterator[Finding]:
    """Each service has a name, and is there once; so is each host."""
    first: dict[str, int] = {}
    hosts: dict[str, str] = {}
    for index, service in enumerate(services):
        name = service.get("Name", "")
        if not name:
            yield Finding(f"{path}[{index}].Name", "the service name cannot be blank")
        elif first.setdefault(name, index) != index:
            message = f"service {name} cannot be added multiple times ({where})"
            yield Finding(f"{path}[{index}].Name", message)
        for number, host in enumerate(service.get("Hosts", [])):
            place = f"{path}[{index}].Hosts[{number}]"
            if hosts.setdefault(host.lower(), place) != place:
                message = f"hosts must be unique within a listener: {host[:64]!r} ({where})"
                yield Finding(place, message)


def _tcp_rules(service: Body, path: str) -> Iterator[Finding]:
    """What has no meaning where bytes are carried."""
    for name in ("RequestHeaders", "ResponseHeaders"):
        if any(service.get(name, {}).values()):
            what = name.replace("Headers", " headers").lower()
            yield Finding(f"{path}.{name}", f"{what} are only valid for http, http2, grpc")
    if service.get("Name") == "*":
        yield Finding(f"{path}.Name", "a wildcard service name is only valid for protocol http")


def _hosts_rules(service: Body, tls_enabled: bool, path: str) -> Iterator[Finding]:
    hosts = service.get("Hosts", [])
    if hosts and service.get("Name") == "*":
        message = "associating hosts to a wildcard service is not supported"
        yield Finding(f"{path}.Hosts", message)
    for index, host in enumerate(hosts):
        fault = host_fault(host)
        if host == "*" and tls_enabled:
            fault = "host '*' is not allowed when TLS is enabled, all hosts must be valid DNS names"
        if fault:
            yield Finding(f"{path}.Hosts[{index}]", fault)


def _doubts(body: Body) -> Iterator[Finding]:
    yield from sds_doubts(body)


INGRESS_GATEWAY = Kind(
    name="ingress-gateway", shape=SHAPE, normalise=_normalise, rules=_rules, doubts=_doubts
)
