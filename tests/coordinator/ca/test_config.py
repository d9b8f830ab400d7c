"""The configuration: weak reading, defaults, rules, and every problem at once."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cluster.errors import ConfigError
from coordinator.ca.config import CaConfig, parse_config, shown_config
from coordinator.ca.csr import read_csr
from coordinator.ca.keys import dump_key, make_key
from coordinator.ca.root import describe_root, make_root
from coordinator.ca.sign import Issuer, sign_leaf

HOUR = 3600 * 10**9


def problems(**raw):
    with pytest.raises(ConfigError) as caught:
        parse_config(raw)
    return [(p.path, p.message) for p in caught.value.problems]


def test_defaults():
    config = parse_config({})
    assert config == CaConfig()
    assert config.leaf_ttl_seconds == 72 * 3600
    assert config.root_ttl_seconds == 87600 * 3600
    assert (config.private_key_type, config.private_key_bits) == ("ec", 256)
    assert (config.csr_max_per_second, config.csr_max_concurrent) == (50, 0)


def test_everything_given_weakly():
    config = parse_config(
        {
            "leaf_cert_ttl": "24h",
            "IntermediateCertTTL": 8760 * HOUR,
            "rootCertTTL": "90000h",
            "private_key_type": "rsa",
            "PrivateKeyBits": "4096",
            "CSRMaxPerSecond": "2.5",
            "csr_max_concurrent": 3.0,
            "RotationPeriod": "2160h",
            "PrivateKey": None,
        }
    )
    assert config == CaConfig(
        leaf_cert_ttl_ns=24 * HOUR,
        root_cert_ttl_ns=90000 * HOUR,
        private_key_type="rsa",
        private_key_bits=4096,
        csr_max_per_second=2.5,
        csr_max_concurrent=3,
    )


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ({"LeafCertTTL": "59m59s"}, "LeafCertTTL"),
        ({"LeafCertTTL": "8760h1ns", "IntermediateCertTTL": "30000h"}, "LeafCertTTL"),
        ({"IntermediateCertTTL": "215h"}, "IntermediateCertTTL"),
        ({"RootCertTTL": "8759h"}, "RootCertTTL"),
        ({"LeafCertTTL": "soon"}, "LeafCertTTL"),
        ({"LeafCertTTL": "72"}, "LeafCertTTL"),
        ({"LeafCertTTL": []}, "LeafCertTTL"),
        ({"LeafCertTTL": True}, "LeafCertTTL"),
        ({"RootCertTTL": 2**63}, "RootCertTTL"),
        ({"PrivateKeyType": "dsa"}, "PrivateKeyBits"),
        ({"PrivateKeyType": "rsa"}, "PrivateKeyBits"),
        ({"PrivateKeyBits": 256.5}, "PrivateKeyBits"),
        ({"PrivateKeyType": 1}, "PrivateKeyType"),
        ({"CSRMaxPerSecond": -1}, "CSRMaxPerSecond"),
        ({"CSRMaxPerSecond": "nan"}, "CSRMaxPerSecond"),
        ({"CSRMaxConcurrent": -1}, "CSRMaxConcurrent"),
        ({"CSRMaxConcurrent": "inf"}, "CSRMaxConcurrent"),
        ({"LeafTTL": "72h"}, "LeafTTL"),
        ({"LeafCertTTL": "72h", "leaf_cert_ttl": "72h"}, "leaf_cert_ttl"),
        ({"RootCert": "x"}, "RootCert"),
        ({"PrivateKey": "x"}, "PrivateKey"),
    ],
)
def test_one_problem(raw, path):
    assert [place for place, _ in problems(**raw)] == [path]


@pytest.mark.parametrize(
    "raw",
    [
        {"LeafCertTTL": "1h", "IntermediateCertTTL": "3h", "RootCertTTL": "3h"},
        {"LeafCertTTL": "8760h", "IntermediateCertTTL": "26280h"},
        {"CSRMaxPerSecond": 0, "CSRMaxConcurrent": 0},
    ],
)
def test_the_bounds_are_allowed(raw):
    parse_config(raw)


def test_all_problems_are_told_at_once():
    assert len(problems(LeafCertTTL="x", PrivateKeyBits="y", Nonsense=1)) == 3
    assert problems(LeafCertTTL="30m", IntermediateCertTTL="1h", RootCertTTL="1m") == [
        ("LeafCertTTL", "30m0s must be at least 1h"),
        ("IntermediateCertTTL", "1h0m0s must be at least 3h"),
        ("IntermediateCertTTL", "1h0m0s must be at least three times LeafCertTTL (30m0s)"),
        ("RootCertTTL", "1m0s must be at least IntermediateCertTTL (1h0m0s)"),
    ]


@pytest.fixture
def given(signer):
    key = make_key("ec", 384)
    root = make_root(key, signing=signer, serial=1, now=0, ttl_seconds=9e9, name_salt="abcdefgh")
    return key, root


def test_a_given_key_and_root(given, signer):
    key, root = given
    pem = describe_root(root, key, external_trust_domain="").pem
    config = parse_config({"PrivateKey": dump_key(key), "RootCert": pem})
    assert config.root_cert == pem
    assert "PRIVATE" not in repr(config)
    other = dump_key(make_key("ec", 256))
    assert problems(PrivateKey=other, RootCert=pem) == [
        ("RootCert", "was not made with PrivateKey")
    ]
    assert problems(PrivateKey=other, RootCert="x") == [("RootCert", "is no certificate in PEM")]


def test_a_leaf_is_no_root(given, signer, csr, web):
    key, root = given
    asked = read_csr(csr(web, key=key), signer=signer, datacenter="dc1")
    issuer = Issuer(certificate=root, key=key)
    leaf = sign_leaf(asked, issuer, now=0, ttl_seconds=3600, serial=2).chain_pem.decode()
    assert problems(PrivateKey=dump_key(key), RootCert=leaf) == [
        ("RootCert", "is no CA certificate")
    ]


def pem_of(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (ed25519.Ed25519PrivateKey.generate, "the key is neither ec nor rsa"),
        (lambda: rsa.generate_private_key(65537, 1024), "an rsa key has 2048, 4096 bits, not 1024"),
    ],
)
def test_a_given_key_of_another_kind(make, message):
    assert problems(PrivateKey=pem_of(make())) == [("PrivateKey", message)]


def test_what_is_shown_has_consuls_spelling_and_no_key():
    shown = shown_config({"leaf_cert_ttl": "24h", "private_key": "secret", "RootCert": "x"})
    assert shown == {
        "LeafCertTTL": "24h",
        "IntermediateCertTTL": "8760h",
        "RootCertTTL": "87600h",
    }
