"""What a certificate says, and that it is remembered exactly, and within bounds."""

import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from worker.tls import peer
from worker.tls.peer import Peer, peer_of, read_peer


def der(issued):
    return x509.load_pem_x509_certificate(issued.chain_pem).public_bytes(Encoding.DER)


@pytest.fixture(autouse=True)
def nothing_remembered():
    peer._remembered.cache_clear()
    yield
    peer._remembered.cache_clear()


def remembered():
    return peer._remembered.cache_info().currsize


def test_names_of_every_kind_and_the_end(mesh):
    issued = mesh.issue(uris=["spiffe://a/b"], dns=["a.b"], ips=["::1"], emails=["a@b.c"])
    assert peer_of(der(issued)) == Peer(
        uris=("spiffe://a/b",),
        dns_names=("a.b",),
        addresses=("::1",),
        emails=("a@b.c",),
        not_after=issued.not_after,
        subject=x509.load_der_x509_certificate(der(issued)).subject.rfc4514_string(),
        fingerprint=hashlib.sha256(der(issued)).hexdigest(),
    )


def test_the_same_bytes_are_read_once(mesh, monkeypatch):
    read = []
    monkeypatch.setattr(peer, "read_peer", lambda made: read.append(made) or read_peer(made))
    data = der(mesh.issue(uris=["spiffe://a/b"]))
    assert peer_of(data) is peer_of(bytes(bytearray(data)))
    assert len(read) == 1


def test_one_byte_more_or_less_is_another_certificate(mesh):
    data = der(mesh.issue(uris=["spiffe://a/b"]))
    peer_of(data)
    other = data.replace(b"spiffe://a/b", b"spiffe://a/c")
    assert len(other) == len(data)
    assert peer_of(other).uris == ("spiffe://a/c",)
    with pytest.raises(ValueError):
        peer_of(data + b"\0")


def test_what_cannot_be_read_is_never_remembered():
    for _ in range(2):
        with pytest.raises(ValueError):
            peer_of(b"nonsense")
    assert remembered() == 0


def test_only_so_many_are_remembered_and_the_last_used_stay(mesh, monkeypatch):
    monkeypatch.setattr(peer.x509, "load_der_x509_certificate", lambda data: data)
    monkeypatch.setattr(peer, "read_peer", lambda data: Peer(not_after=float(data)))
    first = peer_of(b"0")
    for number in range(1, peer.REMEMBERED + 1):
        assert peer_of(b"0") is first
        peer_of(b"%d" % number)
    assert remembered() == peer.REMEMBERED
    assert peer_of(b"0") is first


def test_a_huge_certificate_is_read_each_time(mesh):
    data = der(mesh.issue(dns=[f"host{n}.example.com" for n in range(1000)]))
    assert len(data) > peer.REMEMBERED_BYTES
    assert peer_of(data) == peer_of(data)
    assert remembered() == 0
