"""Leaves: their form, their time, and what OpenSSL says of them."""

import subprocess
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from coordinator.ca.csr import read_csr
from coordinator.ca.keys import key_id, make_key
from coordinator.ca.root import describe_root, make_root
from coordinator.ca.sign import Issuer, SigningRefused, sign_leaf

NOW = 1_700_000_000.0
HOUR = 3600


@pytest.fixture
def issuer_of(signer):
    def issuer_of(key_type="ec", bits=256, ttl_seconds=1000 * HOUR, now=NOW):
        key = make_key(key_type, bits)
        root = make_root(
            key,
            signing=signer,
            serial=1,
            now=now,
            ttl_seconds=ttl_seconds,
            name_salt="a1b2c3d4",
        )
        return Issuer(certificate=root, key=key)

    return issuer_of


@pytest.fixture
def asked(csr, web, signer):
    pem = csr(web, dns=["web.example.com:80"], ips=["10.0.0.1"])
    return read_csr(pem, signer=signer, datacenter="dc1")


def leaf_of(signed):
    return x509.load_pem_x509_certificates(signed.chain_pem)[0]


def extension(certificate, kind):
    found = certificate.extensions.get_extension_for_class(kind)
    return found.value, found.critical


def test_the_form_of_a_leaf(issuer_of, asked, web):
    issuer = issuer_of()
    signed = sign_leaf(asked, issuer, now=NOW, ttl_seconds=72 * HOUR, serial=42)
    leaf = leaf_of(signed)
    assert list(leaf.subject) == []
    assert leaf.issuer == issuer.certificate.subject
    assert leaf.serial_number == signed.serial == 42
    assert isinstance(leaf.signature_hash_algorithm, hashes.SHA256)
    names, critical = extension(leaf, x509.SubjectAlternativeName)
    assert critical
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [web]
    assert names.get_values_for_type(x509.DNSName) == ["web.example.com"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("10.0.0.1")]
    assert signed.uri == web
    usage, critical = extension(leaf, x509.KeyUsage)
    assert critical
    assert usage.digital_signature
    assert usage.key_encipherment
    assert usage.data_encipherment
    assert usage.key_agreement
    assert [usage.key_cert_sign, usage.crl_sign, usage.content_commitment] == [False] * 3
    purposes, _ = extension(leaf, x509.ExtendedKeyUsage)
    assert set(purposes) == {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH}
    assert extension(leaf, x509.BasicConstraints)[0].ca is False
    assert extension(leaf, x509.SubjectKeyIdentifier)[0].digest == key_id(asked.key)
    authority, _ = extension(leaf, x509.AuthorityKeyIdentifier)
    assert authority.key_identifier == key_id(issuer.key.public_key())
    leaf.verify_directly_issued_by(issuer.certificate)


def test_the_time_of_a_leaf(issuer_of, asked):
    signed = sign_leaf(asked, issuer_of(), now=NOW, ttl_seconds=72 * HOUR, serial=2)
    assert (signed.not_before, signed.not_after) == (NOW - 60, NOW - 60 + 72 * HOUR)
    leaf = leaf_of(signed)
    assert leaf.not_valid_before_utc.timestamp() == signed.not_before
    assert leaf.not_valid_after_utc.timestamp() == signed.not_after


def test_a_leaf_never_outlives_its_root(issuer_of, asked):
    issuer = issuer_of(ttl_seconds=2 * HOUR)
    signed = sign_leaf(asked, issuer, now=NOW + HOUR, ttl_seconds=72 * HOUR, serial=2)
    assert signed.not_after == NOW + 2 * HOUR
    assert leaf_of(signed).not_valid_after_utc == issuer.certificate.not_valid_after_utc


def test_an_expired_root_signs_nothing(issuer_of, asked):
    issuer = issuer_of(ttl_seconds=HOUR)
    sign_leaf(asked, issuer, now=NOW + HOUR - 1, ttl_seconds=HOUR, serial=2)
    with pytest.raises(SigningRefused, match="expired on 2023-11-14T23:13:20"):
        sign_leaf(asked, issuer, now=NOW + HOUR, ttl_seconds=HOUR, serial=3)


def test_intermediates_follow_the_leaf(issuer_of, asked):
    issuer = issuer_of()
    other = issuer_of()
    pem = describe_root(other.certificate, other.key, external_trust_domain="").pem
    cross = Issuer(certificate=issuer.certificate, key=issuer.key, intermediates_pem=(pem,))
    signed = sign_leaf(asked, cross, now=NOW, ttl_seconds=HOUR, serial=2)
    _, second = x509.load_pem_x509_certificates(signed.chain_pem)
    assert second == other.certificate


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key_type", "bits"), [("ec", 224), ("ec", 256), ("ec", 384), ("ec", 521), ("rsa", 2048)]
)
def test_openssl_agrees(issuer_of, asked, web, tmp_path, key_type, bits):
    issuer = issuer_of(key_type, bits)
    signed = sign_leaf(asked, issuer, now=NOW, ttl_seconds=HOUR, serial=2)
    leaf, root = tmp_path / "leaf.pem", tmp_path / "root.pem"
    leaf.write_bytes(signed.chain_pem)
    root.write_text(describe_root(issuer.certificate, issuer.key, external_trust_domain="").pem)
    verify = ("verify", "-x509_strict", "-attime", str(int(NOW)), "-CAfile", str(root))
    for purpose in ("sslclient", "sslserver"):
        assert openssl(*verify, "-purpose", purpose, str(leaf)) == (0, f"{leaf}: OK\n")
    late = ("verify", "-attime", str(int(NOW) + 2 * HOUR), "-CAfile", str(root), str(leaf))
    assert openssl(*late)[0] != 0
    _, text = openssl("x509", "-noout", "-text", "-in", str(leaf))
    lines = [line.strip() for line in text.splitlines()]
    for wanted in (
        "Subject:",
        "X509v3 Subject Alternative Name: critical",
        f"DNS:web.example.com, IP Address:10.0.0.1, URI:{web}",
        "Digital Signature, Key Encipherment, Data Encipherment, Key Agreement",
        "TLS Web Client Authentication, TLS Web Server Authentication",
        "CA:FALSE",
        f"Issuer: CN = {issuer.certificate.subject.rfc4514_string()[3:]}",
    ):
        assert wanted in lines
