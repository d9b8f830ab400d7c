"""The root certificate and its description."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from coordinator.ca.keys import key_id, make_key
from coordinator.ca.root import consul_root, describe_root, make_root, signing_key_id, utc

NOW = 1_700_000_000.75
KEY = make_key("ec", 256)


@pytest.fixture
def root(signer):
    return make_root(KEY, signing=signer, serial=7, now=NOW, ttl_seconds=3600, name_salt="a1b2c3d4")


def extension(certificate, kind):
    found = certificate.extensions.get_extension_for_class(kind)
    return found.value, found.critical


def test_names_times_and_number(root):
    (name,) = root.subject
    assert (name.oid, name.value) == (
        NameOID.COMMON_NAME,
        "pri-a1b2c3d4.consul.ca.11111111.consul",
    )
    assert root.issuer == root.subject
    assert root.serial_number == 7
    assert root.not_valid_before_utc.timestamp() == 1_700_000_000
    assert root.not_valid_after_utc.timestamp() == 1_700_003_600
    assert isinstance(root.signature_hash_algorithm, hashes.SHA256)
    root.verify_directly_issued_by(root)


def test_extensions(root, signer):
    names, _ = extension(root, x509.SubjectAlternativeName)
    assert list(names) == [x509.UniformResourceIdentifier(signer.uri)]
    assert extension(root, x509.BasicConstraints) == (x509.BasicConstraints(True, None), True)
    usage, critical = extension(root, x509.KeyUsage)
    assert critical
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, True, True)
    others = [usage.key_agreement, usage.key_encipherment, usage.content_commitment]
    assert others == [False] * 3
    subject, _ = extension(root, x509.SubjectKeyIdentifier)
    authority, _ = extension(root, x509.AuthorityKeyIdentifier)
    assert subject.digest == authority.key_identifier == key_id(KEY.public_key())
    assert len(root.extensions) == 5


def test_the_description(root):
    info = describe_root(root, KEY, external_trust_domain="1111")
    shown = consul_root(info, create_index=3, modify_index=4)
    sha1 = root.fingerprint(hashes.SHA1()).hex(":")
    assert shown == {
        "ID": sha1,
        "Name": "Consul CA Primary Cert",
        "SerialNumber": 7,
        "SigningKeyID": key_id(KEY.public_key()).hex(":"),
        "ExternalTrustDomain": "1111",
        "NotBefore": "2023-11-14T22:13:20Z",
        "NotAfter": "2023-11-14T23:13:20Z",
        "RootCert": info.pem,
        "IntermediateCerts": None,
        "Active": True,
        "PrivateKeyType": "ec",
        "PrivateKeyBits": 256,
        "CreateIndex": 3,
        "ModifyIndex": 4,
    }
    assert x509.load_pem_x509_certificate(info.pem.encode()) == root
    assert info.pem.endswith("-----END CERTIFICATE-----\n")


def test_a_root_without_a_key_identifier():
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "given")])
    given = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(utc(0))
        .not_valid_after(utc(3600))
        .sign(KEY, hashes.SHA256())
    )
    assert signing_key_id(given) == key_id(KEY.public_key())
