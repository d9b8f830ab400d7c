"""Which name a certificate is good for."""

import pytest

from worker.tls.names_match import named, names, sendable_server_name, with_uri
from worker.tls.peer import Peer


def peer(*, dns=(), uris=(), ips=(), emails=()):
    return Peer(dns_names=dns, uris=uris, addresses=ips, emails=emails, not_after=0.0)


@pytest.mark.parametrize(
    ("name", "expected", "answer"),
    [
        ("db.example.com", "db.example.com", True),
        ("DB.Example.com", "db.example.COM", True),
        ("db.example.com", "db.example.com.", True),
        ("db.example.com", "xdb.example.com", False),
        ("example.com", "db.example.com", False),
        ("localhost", "localhost", True),
        ("*.example.com", "db.example.com", True),
        ("*.example.com", "DB.EXAMPLE.COM", True),
        ("*.Example.com", "db.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", ".example.com", False),
        ("*.example.com", "a.db.example.com", False),
        ("*.example.com", "*.example.com", True),
        ("*.com", "example.com", False),
        ("*.", "a.", False),
        ("*", "localhost", False),
        ("*", "example.com", False),
        ("d*.example.com", "db.example.com", False),
        ("*b.example.com", "db.example.com", False),
        ("db.*.com", "db.example.com", False),
        ("*.*.com", "a.b.com", False),
        ("", "", False),
        ("10.0.0.1", "10.0.0.1", False),  # an address has to be there as an address
        ("*.0.0.1", "10.0.0.1", False),
    ],
)
def test_dns_names(name, expected, answer):
    assert names(peer(dns=(name,)), expected) is answer


@pytest.mark.parametrize(
    ("address", "expected", "answer"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:DB8:0:0::1", True),
        ("10.0.0.1", "::ffff:10.0.0.1", False),
    ],
)
def test_addresses(address, expected, answer):
    assert names(peer(ips=(address,)), expected) is answer


def test_uris_and_emails_match_exactly():
    both = peer(uris=("spiffe://a/b",), emails=("ops@example.com",))
    assert names(both, "spiffe://a/b")
    assert not names(both, "spiffe://a/B")
    assert names(both, "ops@example.com")
    assert not names(both, "example.com")


def test_any_of_several_names_will_do():
    assert names(peer(dns=("a.b", "c.d"), uris=("x:y",)), "c.d")


def test_the_checks_say_what_was_found_and_no_more_than_a_log_line_holds():
    assert named("a.b")(peer(dns=("a.b",))) is None
    assert named("a.b")(peer()) == "the certificate is not for a.b; it names nothing"
    crowd = peer(dns=tuple(f"host{n}.example.com" for n in range(10_000)))
    problem = named("a.b")(crowd)
    assert problem is not None
    assert "host0.example.com" in problem
    assert len(problem) < 400
    assert with_uri("spiffe://a/b")(peer(uris=("spiffe://a/b",))) is None
    assert with_uri("spiffe://a/b")(peer(uris=("spiffe://a/c",), dns=("spiffe://a/b",)))
    assert with_uri("spiffe://a/b")(peer(uris=("spiffe://a/b", "spiffe://a/c")))


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("db.example.com", b"db.example.com"),
        ("db.example.com.", b"db.example.com"),
        ("a_b.c", b"a_b.c"),
        ("10.0.0.1", None),
        ("::1", None),
        ("spiffe://a/b", None),
        ("ops@example.com", None),
        ("bücher.example", None),
        ("", None),
    ],
)
def test_what_is_sent_as_server_name(name, sent):
    assert sendable_server_name(name) == sent
