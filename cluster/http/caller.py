"""Who makes a request: the service of the client certificate, or the one that a mesh gateway speaks for.

Belongs here: that decision, and reading `x-forwarded-client-cert`. Never here: verifying a certificate, or
writing that header.

A service of a peer reaches an HTTP service through our own mesh gateway, which ended its TLS and says in the
header whom it saw. Nobody else is believed what the header says.
Source: consul-gateways.md 5.7; Envoy, "x-forwarded-client-cert".
"""

import re
from collections.abc import Mapping

from cluster.authorize import NO_PEERS, Peer, caller_of
from cluster.identity import Identity, IdentityError, MeshGatewayId, ServiceId, parse
from cluster.names import DEFAULT, ServiceName

FORWARDED_CERT = "x-forwarded-client-cert"
_QUOTED_OR_NOT = r"(?:\"(?:[^\"\\]|\\.)*\"|[^,;\"])*"
_FIRST_ELEMENT = re.compile(rf"{_QUOTED_OR_NOT}(?:;{_QUOTED_OR_NOT})*")
_PAIR = re.compile(rf"([A-Za-z]+)=({_QUOTED_OR_NOT})")


def request_caller(
    certificate: Identity,
    forwarded_cert: str | None,
    trust_domain: str,
    peers: Mapping[str, Peer] = NO_PEERS,
) -> ServiceName | None:
    """The service that makes the request; None is nobody here.

    `certificate` is the identity of the verified client certificate, `forwarded_cert` the header as it came
    in, `peers` are by lower-case trust domain. Unless the certificate is a mesh gateway's, the answer is the
    same for all requests of a connection.
    """
    if not isinstance(certificate, MeshGatewayId):
        return caller_of(certificate, trust_domain, peers)
    own = certificate.trust_domain.lower() == trust_domain and certificate.partition == DEFAULT
    seen = forwarded_uri(forwarded_cert) if own and forwarded_cert else None
    if seen is None:
        return None
    try:
        identity = parse(seen)
    except IdentityError:
        return None
    return _of_a_peer(identity, trust_domain, peers)


def _of_a_peer(
    identity: Identity, trust_domain: str, peers: Mapping[str, Peer]
) -> ServiceName | None:
    """Services of our own come with their own certificate, never through a gateway's word."""
    if not isinstance(identity, ServiceId) or identity.trust_domain.lower() == trust_domain:
        return None
    return caller_of(identity, trust_domain, peers)


def forwarded_uri(header: str) -> str | None:
    """The URI that the first element names; None if it names none, or several."""
    first = _FIRST_ELEMENT.match(header)
    pairs = _PAIR.findall(first[0]) if first else ()
    found = [value for key, value in pairs if key.lower() == "uri"]
    if len(found) != 1 or not found[0]:
        return None
    value: str = found[0]
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
