"""`TLS` of an ingress gateway, its listeners and its services, but for what a secret server holds.

Belongs here: its fields, and the rules on certificates in files, which Consul does not know. Never here:
versions and ciphers (`tls_parameters`), or `SDS` (`ingress_sds`).

`CertFile` and `KeyFile` are paths on the gateway's host, and turn TLS on by themselves, as a certificate of a
secret server does. With TLS a client says which name it wants: so a tcp listener may have several services.
"""

from collections.abc import Iterator

from .ingress_sds import SDS
from .kind import Body
from .report import Finding
from .scalars import Flag, Text
from .schema import Field, Object
from .tls_parameters import TLS_PARAMETERS

_FILES = (Field(name="CertFile", shape=Text()), Field(name="KeyFile", shape=Text()))

TLS = Object(
    Field(name="Enabled", shape=Flag()), Field(name="SDS", shape=SDS), *TLS_PARAMETERS, *_FILES
)
SERVICE_TLS = Object(Field(name="SDS", shape=SDS), *_FILES)


def speaks_tls(listener: Body, gateway_tls: Body) -> bool:
    """Whether clients of this listener have to speak TLS, whoever's certificate they are shown."""
    around = (gateway_tls, listener.get("TLS", {}))
    if any(tls.get("Enabled") or tls.get("CertFile") for tls in around):
        return True
    return any(service.get("TLS", {}).get("CertFile") for service in listener["Services"])


def files_rules(tls: Body, path: str) -> Iterator[Finding]:
    """A certificate has its key, and the other way round."""
    for name, other in (("CertFile", "KeyFile"), ("KeyFile", "CertFile")):
        if tls.get(name) and not tls.get(other):
            yield Finding(f"{path}.{other}", f"{other} is required if {name} is set")


def service_files_rules(service: Body, path: str) -> Iterator[Finding]:
    """A service's own certificate is shown to who asks for one of its hosts."""
    tls = service.get("TLS", {})
    yield from files_rules(tls, f"{path}.TLS")
    if tls.get("CertFile") and not service.get("Hosts"):
        message = "a service specifying TLS.CertFile must have at least one item in Hosts"
        yield Finding(f"{path}.Hosts", message)
