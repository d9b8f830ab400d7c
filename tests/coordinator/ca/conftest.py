"""Requests of every kind, made as a node would make them or worse."""

import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from cluster.identity import SigningId

CLUSTER_ID = "11111111-2222-3333-4444-555555555555"
TRUST_DOMAIN = f"{CLUSTER_ID}.consul"
WEB = f"spiffe://{TRUST_DOMAIN}/ns/default/dc/dc1/svc/web"


def make_csr(*uris, dns=(), ips=(), others=(), key=None, algorithm=None):
    """A request in PEM; without names it has no extension at all."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    names = [
        *(x509.UniformResourceIdentifier(uri) for uri in uris),
        *(x509.DNSName(name) for name in dns),
        *(x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips),
        *others,
    ]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, algorithm or hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.fixture
def csr():
    return make_csr


@pytest.fixture
def signer():
    return SigningId(cluster_id=CLUSTER_ID)


@pytest.fixture
def web():
    return WEB


@pytest.fixture(scope="session")
def sample():
    """The DER of one good request."""
    pem = make_csr(WEB, dns=["web.example.com"])
    return x509.load_pem_x509_csr(pem).public_bytes(Encoding.DER)


@pytest.fixture(scope="session")
def sample_signer():
    return SigningId(cluster_id=CLUSTER_ID)
