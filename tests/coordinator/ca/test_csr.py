"""Which requests are acceptable, and what they ask for."""

import base64
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from cluster.identity import AgentId, MeshGatewayId, ServerId, ServiceId
from coordinator.ca.csr import LIMIT_BYTES, CsrRefused, clean_dns_sans, read_csr

CLUSTER_ID = "11111111-2222-3333-4444-555555555555"
TD = f"{CLUSTER_ID}.consul"


@pytest.fixture
def read(signer):
    def read(pem, datacenter="dc1"):
        return read_csr(pem, signer=signer, datacenter=datacenter)

    return read


@pytest.fixture
def refusals(read):
    def refusals(pem):
        with pytest.raises(CsrRefused) as caught:
            read(pem)
        return [problem.message for problem in caught.value.problems]

    return refusals


def uri(path, host=TD):
    return f"spiffe://{host}{path}"


@pytest.mark.parametrize(
    ("asked", "identity"),
    [
        (
            uri("/ns/default/dc/dc1/svc/web"),
            ServiceId(trust_domain=TD, service="web", datacenter="dc1"),
        ),
        (
            uri("/ap/default/ns/default/dc/dc1/svc/web"),
            ServiceId(trust_domain=TD, service="web", datacenter="dc1"),
        ),
        (
            uri("/ns/default/dc/dc1/svc/web", host=TD.upper()),
            ServiceId(trust_domain=TD, service="web", datacenter="dc1"),
        ),
        (uri("/gateway/mesh/dc/dc1"), MeshGatewayId(trust_domain=TD, datacenter="dc1")),
        (uri("/agent/server/dc/dc1"), ServerId(trust_domain=TD, datacenter="dc1")),
        (
            uri("/agent/client/dc/dc1/id/node-1", host="dummy.trustdomain"),
            AgentId(trust_domain=TD, datacenter="dc1", node="node-1"),
        ),
    ],
)
def test_identities_that_may_be_asked_for(read, csr, asked, identity):
    assert read(csr(asked)).identity == identity


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (uri("/ns/default/dc/dc1/svc/web", host="other.consul"), "trust domain other.consul"),
        (uri("/gateway/mesh/dc/dc1", host="other.consul"), "trust domain other.consul"),
        (uri("/agent/server/dc/dc1", host="other.consul"), "trust domain other.consul"),
        (uri("/ns/default/dc/dc2/svc/web"), "datacenter dc2 is not ours, dc1"),
        (uri("/gateway/mesh/dc/dc2"), "datacenter dc2 is not ours, dc1"),
        (uri("/agent/server/dc/dc2"), "datacenter dc2 is not ours, dc1"),
        (uri(""), "not that of a service"),
        (uri("/ns/default/dc/dc1/svc/*"), "a wildcard is no service"),
        (uri("/ns/team/dc/dc1/svc/web"), "Enterprise"),
        (uri("/ap/team/ns/default/dc/dc1/svc/web"), "Enterprise"),
        (uri("/ap/team/gateway/mesh/dc/dc1"), "Enterprise"),
        (uri("/somewhere"), "not in the expected format"),
        (uri("/ns/default/dc/dc1/svc/web?x=1"), "not in the expected format"),
        ("https://example.com/", "scheme"),
    ],
)
def test_identities_that_may_not(csr, refusals, asked, why):
    assert why in "; ".join(refusals(csr(asked)))


def test_a_name_with_a_slash_stays_one_name(read, csr):
    asked = uri("/ns/default/dc/dc1/svc/a%2Fsvc%2Fb")
    identity = read(csr(asked)).identity
    assert (identity.service, identity.uri) == ("a/svc/b", asked)


@pytest.mark.parametrize("count", [0, 2])
def test_exactly_one_uri(csr, refusals, web, count):
    uris = [web] * count
    assert refusals(csr(*uris, dns=["a"])) == [
        f"the request has {count} URIs, it must have exactly one"
    ]


def test_a_request_without_names(csr, refusals):
    assert refusals(csr()) == ["the request has 0 URIs, it must have exactly one"]


def test_other_kinds_of_names(csr, refusals, web):
    mail = x509.RFC822Name("a@example.com")
    registered = x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))
    assert refusals(csr(web, others=[mail])) == ["e-mail addresses are not allowed"]
    assert refusals(csr(web, others=[registered])) == [
        "only URI, DNS and IP alternative names are allowed"
    ]


def test_several_problems_are_told_at_once(csr, refusals):
    pem = csr(
        uri("/ns/default/dc/dc2/svc/web", host="other.consul"),
        others=[x509.RFC822Name("a@example.com")],
    )
    assert len(refusals(pem)) == 3


def test_names_and_addresses(read, csr, web):
    dns = ["a.example.com:8080", "a.example.com", ":1", "*.ingress.consul", "under_score"]
    asked = read(csr(web, dns=dns, ips=["10.0.0.1", "::1", "10.0.0.1"]))
    assert asked.dns_names == ("a.example.com", "*.ingress.consul", "under_score")
    assert asked.ip_addresses == (ip_address("10.0.0.1"), ip_address("::1"))


@pytest.mark.parametrize("name", ["a b", "a\nb", "a/b", "x" * 254])
def test_what_is_no_dns_name(csr, refusals, web, name):
    assert refusals(csr(web, dns=[name])) == [f"{name[:80]!r} is no DNS name"]


def test_cleaning_keeps_the_order():
    assert clean_dns_sans(["b", "", "a:1", "b:2", ":3", "a"]) == ("b", "a")


@pytest.mark.parametrize(
    "make",
    [
        lambda: ec.generate_private_key(ec.SECP384R1()),
        lambda: rsa.generate_private_key(65537, 2048),
    ],
)
def test_keys_of_other_kinds(read, csr, web, make):
    key = make()
    assert read(csr(web, key=key)).key == key.public_key()


def test_an_ed25519_key(read, web):
    key = ed25519.Ed25519PrivateKey.generate()
    assert read(_without_hash(web, key)).key == key.public_key()


def _without_hash(web, key):
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(web)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.add_extension(names, critical=False).sign(key, None).public_bytes(Encoding.PEM)


def test_keys_that_are_refused(csr, refusals, web):
    weak = rsa.generate_private_key(65537, 1024)
    assert refusals(csr(web, key=weak)) == ["an RSA key has 2048 to 8192 bits, not 1024"]
    strange = ed448.Ed448PrivateKey.generate()
    assert refusals(_without_hash(web, strange)) == ["the key is neither EC nor RSA nor Ed25519"]


def test_a_request_that_its_key_did_not_sign(csr, refusals, web):
    body = b"".join(csr(web).splitlines()[1:-1])
    der = bytearray(base64.b64decode(body))
    der[-1] ^= 1
    forged = (
        b"-----BEGIN CERTIFICATE REQUEST-----\n"
        + base64.encodebytes(bytes(der))
        + b"-----END CERTIFICATE REQUEST-----\n"
    )
    assert refusals(forged) == ["the signature of the request is not valid"]


@pytest.mark.parametrize("pem", [b"", b"hello", b"-----BEGIN CERTIFICATE REQUEST-----\n"])
def test_what_is_no_request(refusals, pem):
    assert refusals(pem) == ["not a certificate request in PEM"]


def test_a_request_that_is_too_large(refusals):
    assert refusals(b"x" * (LIMIT_BYTES + 1)) == [
        f"the request has {LIMIT_BYTES + 1} bytes, more than {LIMIT_BYTES}"
    ]


@given(data=st.data())
def test_damaged_requests_are_refused_and_nothing_worse(sample, sample_signer, data):
    """Any bytes changed in the DER: read as a request or refused, never another error."""
    der = bytearray(sample)
    for _ in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    pem = (
        b"-----BEGIN CERTIFICATE REQUEST-----\n"
        + base64.encodebytes(bytes(der))
        + b"-----END CERTIFICATE REQUEST-----\n"
    )
    if bytes(der) == sample:
        return
    with pytest.raises(CsrRefused):
        read_csr(pem, signer=sample_signer, datacenter="dc1")
