"""Whether a server's certificate names the server that was meant.  ●

Belongs here: RFC 9525 (which replaced RFC 6125) for host names, and exact matches for the other kinds
of name that Consul looks at. Never here: whether the certificate is trusted at all.

The subject's common name is never looked at. A wildcard is the whole leftmost label, stands for
exactly one label, and must be followed by at least two: `*.example.com`, never `*.com`, `w*.example.com`
or `*`.
"""

import ipaddress

from worker.tls.peer import Peer, PeerCheck


def named(expected: str) -> PeerCheck:
    """A check that the certificate names `expected`: a host name, IP address, URI or e-mail address.

    Any kind of subject alternative name will do, as in Consul; only an IP address has to be there as
    an address, so that a DNS name that looks like one proves nothing (RFC 9525 section 4.1.1).
    """

    def check(peer: Peer) -> str | None:
        if names(peer, expected):
            return None
        return f"the certificate is not for {expected}; it names {_listed(peer)}"

    return check


def with_uri(expected: str) -> PeerCheck:
    """A check that the certificate's only URI is this one, which is how the mesh names a server."""

    def check(peer: Peer) -> str | None:
        if peer.uris == (expected,):
            return None
        return f"the certificate is not for {expected}; it names {_listed(peer)}"

    return check


def names(peer: Peer, expected: str) -> bool:
    """Whether one of the peer's names is `expected`."""
    if address := as_address(expected):
        return address in peer.addresses
    if expected in peer.uris or expected in peer.emails:
        return True
    host = expected.removesuffix(".").lower()
    return bool(host) and any(_dns_name_is(name.lower(), host) for name in peer.dns_names)


def as_address(host: str) -> str | None:
    """The IP address that `host` is, in its one canonical spelling, or None for a name."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def sendable_server_name(name: str) -> bytes | None:
    """`name` as a server name extension may carry it (RFC 6066 section 3), or None if it may not."""
    host = name.removesuffix(".")
    if not host or not host.isascii() or as_address(host) or not _LETTERS.issuperset(host.lower()):
        return None
    return host.encode("ascii")


_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")


def _dns_name_is(name: str, host: str) -> bool:
    if not name.startswith("*."):
        return name == host
    suffix = name[1:]
    label, dot, rest = host.partition(".")
    return bool(label) and dot + rest == suffix and "." in rest and "*" not in rest


def _listed(peer: Peer) -> str:
    """A peer's names for the log; a hostile certificate may hold thousands."""
    found = peer.dns_names + peer.addresses + peer.uris + peer.emails
    shown = ", ".join(found[:5])[:300] or "nothing"
    return f"{shown} and more" if len(found) > 5 else shown
