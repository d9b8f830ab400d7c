"""TLS versions and cipher suites, as ingress gateways, their listeners and the mesh may set them.

Belongs here: their fields, names and rules (consul-gateways.md 3.3, lines 16 to 19). Never here: setting
them on a connection.
"""

from collections.abc import Iterator

from .kind import Body
from .report import Finding, join
from .scalars import Text
from .schema import Field, ListOf

_CONCRETE = ("TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3")  # in their order
VERSIONS = ("TLS_AUTO", *_CONCRETE)

CIPHERS = (
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
)

TLS_PARAMETERS = (
    Field(name="TLSMinVersion", shape=Text()),
    Field(name="TLSMaxVersion", shape=Text()),
    Field(name="CipherSuites", shape=ListOf(Text())),
)


def tls_rules(tls: Body, path: str) -> Iterator[Finding]:
    """Known versions in their order, and known ciphers where they have a meaning."""
    for name in ("TLSMinVersion", "TLSMaxVersion"):
        version = tls.get(name, "")
        if version and version not in VERSIONS:
            message = f"no matching TLS version found for {version[:64]!r}"
            yield Finding(join(path, name), f"{message}, must be one of {', '.join(VERSIONS)}")
    yield from _order_rules(tls.get("TLSMinVersion", ""), tls.get("TLSMaxVersion", ""), path)
    yield from _cipher_rules(tls, join(path, "CipherSuites"))


def _order_rules(low: str, high: str, path: str) -> Iterator[Finding]:
    if low in _CONCRETE and high in _CONCRETE and _CONCRETE.index(high) < _CONCRETE.index(low):
        message = f"the max version {high} is less than the min version {low}"
        yield Finding(join(path, "TLSMaxVersion"), message)


def _cipher_rules(tls: Body, path: str) -> Iterator[Finding]:
    ciphers = tls.get("CipherSuites", [])
    if ciphers and tls.get("TLSMinVersion") == "TLSv1_3":
        yield Finding(path, "cipher suites are configurable for TLS 1.2 and earlier only")
    for index, cipher in enumerate(ciphers):
        if cipher not in CIPHERS:
            message = f"no matching TLS cipher suite found for {cipher[:64]!r}"
            yield Finding(f"{path}[{index}]", message)
