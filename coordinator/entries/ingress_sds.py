"""`SDS` of an ingress gateway: which certificate a secret server holds for it, a listener or a service.

Belongs here: its fields and the rules on how the three levels complete each other (consul-gateways.md 3.3,
lines 20 to 25). Never here: asking such a server.
"""

from collections.abc import Iterator

from .kind import Body, unenforced
from .report import Finding
from .scalars import Text
from .schema import Field, Object

SDS = Object(Field(name="ClusterName", shape=Text()), Field(name="CertResource", shape=Text()))

_NO_CLUSTER = "TLS.SDS.ClusterName is required if CertResource is set"


def _cluster(tls: Body) -> str:
    return str(tls.get("SDS", {}).get("ClusterName", ""))


def _resource(tls: Body) -> str:
    return str(tls.get("SDS", {}).get("CertResource", ""))


def gateway_sds_rules(gateway: Body, path: str) -> Iterator[Finding]:
    """A certificate of the gateway comes from a named server."""
    if _resource(gateway) and not _cluster(gateway):
        yield Finding(f"{path}.SDS.ClusterName", _NO_CLUSTER)


def listener_sds_rules(listener: Body, gateway: Body, path: str, where: str) -> Iterator[Finding]:
    """A listener's certificate comes from its own server or from the gateway's."""
    resource, place = _resource(listener), f"{path}.SDS"
    if resource and not (_cluster(listener) or _cluster(gateway)):
        yield Finding(f"{place}.ClusterName", f"{_NO_CLUSTER} ({where})")
    if _cluster(listener) and not resource:
        message = f"TLS.SDS.CertResource is required if ClusterName is set ({where})"
        yield Finding(f"{place}.CertResource", message)
    elif _cluster(gateway) and not _resource(gateway) and not resource:
        message = "TLS.SDS.CertResource is required if ClusterName is set for the gateway"
        yield Finding(f"{place}.CertResource", f"{message} ({where})")


def service_sds_rules(service: Body, listener: Body, gateway: Body, path: str) -> Iterator[Finding]:
    """A service's certificate is served on its hosts, and comes from any server named around it."""
    tls = service.get("TLS", {})
    if not _resource(tls):
        return
    if not service.get("Hosts"):
        message = "a service specifying TLS.SDS.CertResource must have at least one item in Hosts"
        yield Finding(f"{path}.Hosts", message)
    if not (_cluster(tls) or _cluster(listener) or _cluster(gateway)):
        yield Finding(f"{path}.TLS.SDS.ClusterName", _NO_CLUSTER)


def sds_doubts(body: Body) -> Iterator[Finding]:
    """Every place that names a secret server, and no files instead."""
    for path, tls in _places(body):
        if tls.get("SDS") and not tls.get("CertFile"):
            yield unenforced("certificates from an SDS server", f"{path}TLS.SDS")


def _places(body: Body) -> Iterator[tuple[str, Body]]:
    yield "", body.get("TLS", {})
    for index, listener in enumerate(body.get("Listeners", [])):
        yield f"Listeners[{index}].", listener.get("TLS", {})
        for number, service in enumerate(listener.get("Services", [])):
            yield f"Listeners[{index}].Services[{number}].", service.get("TLS", {})
