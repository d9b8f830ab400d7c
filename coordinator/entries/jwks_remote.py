"""`JSONWebKeySet.Remote` of a jwt-provider: keys that are fetched from a server.

Belongs here: its fields and rules (consul-gateways.md 5.8). Never here: fetching them.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

from cluster.durations import parse_duration

from .kind import Body, one_of
from .report import Finding
from .scalars import Duration, Flag, Text, Whole
from .schema import Field, Object

_COUNT = Whole(0, 2**31 - 1)
DISCOVERY_TYPES = ("STRICT_DNS", "STATIC", "LOGICAL_DNS", "EDS", "ORIGINAL_DST")

TRUSTED_CA = Object(
    Field(name="Filename", shape=Text()),
    Field(name="EnvironmentVariable", shape=Text()),
    Field(name="InlineString", shape=Text()),
    Field(name="InlineBytes", shape=Text()),
)
_CA_SOURCES = tuple(field.name for field in TRUSTED_CA.fields)

TLS_CERTIFICATES = Object(
    Field(
        name="CaCertificateProviderInstance",
        shape=Object(
            Field(name="InstanceName", shape=Text()), Field(name="CertificateName", shape=Text())
        ),
        keep=True,  # that it is there is a choice, whatever it holds
    ),
    Field(name="TrustedCA", shape=TRUSTED_CA),
)

REMOTE = Object(
    Field(name="URI", shape=Text()),
    Field(name="RequestTimeoutMs", shape=_COUNT),
    Field(name="CacheDuration", shape=Duration()),
    Field(name="FetchAsynchronously", shape=Flag()),
    Field(name="UseSNI", shape=Flag()),
    Field(
        name="RetryPolicy",
        shape=Object(
            Field(name="NumRetries", shape=_COUNT),
            Field(
                name="RetryPolicyBackOff",
                shape=Object(
                    Field(name="BaseInterval", shape=Duration()),
                    Field(name="MaxInterval", shape=Duration()),
                ),
            ),
        ),
    ),
    Field(
        name="JWKSCluster",
        shape=Object(
            Field(name="DiscoveryType", shape=Text()),
            Field(name="TLSCertificates", shape=TLS_CERTIFICATES),
            Field(name="ConnectTimeout", shape=Duration()),
        ),
    ),
)


def remote_rules(remote: Body, path: str) -> Iterator[Finding]:
    """An address that can be asked, and how patiently and by which trust."""
    uri = remote.get("URI", "")
    if not uri:
        yield Finding(f"{path}.URI", "Remote JWKS URI is required")
    elif not _is_uri(uri):
        yield Finding(f"{path}.URI", f"Remote JWKS URI is invalid: {uri[:64]!r}")
    backoff = remote.get("RetryPolicy", {}).get("RetryPolicyBackOff", {})
    base, most = (parse_duration(backoff.get(f"{k}Interval", "0s")) for k in ("Base", "Max"))
    if most and base > most:
        message = "the retry policy's MaxInterval should be greater than or equal to BaseInterval"
        yield Finding(f"{path}.RetryPolicy.RetryPolicyBackOff.MaxInterval", message)
    cluster = remote.get("JWKSCluster", {})
    yield from one_of(cluster, "DiscoveryType", DISCOVERY_TYPES, f"{path}.JWKSCluster")
    if "TLSCertificates" in cluster:
        place = f"{path}.JWKSCluster.TLSCertificates"
        yield from _certificate_rules(cluster["TLSCertificates"], place)


def _is_uri(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _certificate_rules(certificates: Body, path: str) -> Iterator[Finding]:
    if len(certificates) != 1:
        message = "must specify exactly one of CaCertificateProviderInstance or TrustedCA"
        yield Finding(path, message)
    if "TrustedCA" in certificates:
        given = [name for name in _CA_SOURCES if certificates["TrustedCA"].get(name)]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            message = f"must specify exactly one of {', '.join(_CA_SOURCES)}, found {found}"
            yield Finding(f"{path}.TrustedCA", message)
