"""Contexts towards clients outside: made once, read again with their files, and forgotten in time."""

import ssl

import pytest

from cluster.errors import Refused
from cluster.ingress import CertificateFiles, ListenerTls
from tests.fakes.pki import Pki, write
from worker.tls.contexts import UnusableMaterial
from worker.tls.parameters import tls_versions
from worker.view.outside_tls import OutsideContexts


@pytest.fixture(scope="module")
def pki():
    return Pki()


@pytest.fixture
def files(pki, tmp_path):
    cert, key = write(tmp_path, "site", pki.leaf(dns=["a.test"]))
    return CertificateFiles(cert_file=str(cert), key_file=str(key))


def test_the_same_leaf_and_choice_have_one_context(pki):
    contexts, leaf = OutsideContexts(), pki.service("front")
    first = contexts.of_leaf(leaf, ListenerTls())
    assert contexts.of_leaf(leaf, ListenerTls(min_version="TLS_AUTO")) is first
    assert contexts.of_leaf(leaf, ListenerTls(min_version="TLSv1_3")) is not first
    assert contexts.of_leaf(pki.service("front"), ListenerTls()) is not first


def test_what_nobody_asked_for_since_the_last_time_is_forgotten(pki, files):
    contexts, leaf = OutsideContexts(), pki.service("front")
    first = contexts.of_leaf(leaf, ListenerTls())
    contexts.forget_others()
    assert contexts.of_leaf(leaf, ListenerTls()) is first
    contexts.of_files(files, ListenerTls())
    contexts.forget_others()
    contexts.of_files(files, ListenerTls())
    contexts.forget_others()
    assert contexts.of_leaf(leaf, ListenerTls()) is not first


def test_files_that_were_never_there_are_an_ending_and_later_ones_are_taken(pki, files, tmp_path):
    key = (tmp_path / "site.key").read_bytes()
    (tmp_path / "site.key").unlink()
    tls = OutsideContexts().of_files(files, ListenerTls())
    with pytest.raises(Refused, match=r"site\.key"):
        tls.context()
    (tmp_path / "site.key").write_bytes(key)
    assert tls.context() is tls.context()


def test_versions_and_suites_in_openssls_terms():
    found = tls_versions("TLSv1_0", "", ("TLS_RSA_WITH_AES_256_GCM_SHA384",))
    assert (found.lowest, found.highest) == (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
    assert found.tls12_suites == b"AES256-GCM-SHA384"


@pytest.mark.parametrize(
    ("low", "high", "suites", "told"),
    [
        ("", "TLSv1_1", (), "nothing below TLS 1.2"),
        ("", "", ("TLS_NULL",), "TLS_NULL"),
    ],
)
def test_what_cannot_be_spoken(low, high, suites, told):
    with pytest.raises(UnusableMaterial, match=told):
        tls_versions(low, high, suites)


def test_every_suite_that_an_entry_may_name_is_one_that_openssl_knows(pki):
    from coordinator.entries.tls_parameters import CIPHERS

    contexts, leaf = OutsideContexts(), pki.service("front")
    for name in CIPHERS:
        contexts.of_leaf(leaf, ListenerTls(cipher_suites=(name,)))
