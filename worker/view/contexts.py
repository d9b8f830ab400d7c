"""TLS contexts for a view: one per leaf and trust bundle, one per set of origination files.

Belongs here: which context a target uses, and keeping those that did not change. Never here: how a context
is set up (`worker.tls.contexts`).
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import structlog

from cluster.authorize import caller_of
from cluster.certs import Leaf, TrustBundle
from cluster.errors import UpstreamFault
from cluster.identity import IdentityError, parse
from cluster.process.clock import wall_clock
from cluster.reasons import End
from cluster.routes import OriginationTls
from worker.tls.contexts import mesh_client_context, origination_context, server_context
from worker.tls.peer import fingerprint_of

log = structlog.get_logger()

#: What callers may choose from by ALPN, by the protocol of what is served, in our order (Consul's own).
ALPN: Mapping[str, tuple[bytes, ...]] = {
    "tcp": (),
    "http": (b"http/1.1",),
    "http2": (b"h2", b"http/1.1"),
    "grpc": (b"h2", b"http/1.1"),
}

#: An OpenSSL context; only `worker.tls` looks inside.
Context = Any


@dataclass(frozen=True, slots=True)
class ServerTls:
    """How a linked service is served: the context, and what it was made of."""

    context: Context
    leaf_digest: str
    bundle_digest: str


@lru_cache(4096)  # asked for each handshake, by the same few callers
def peer_problem(trust_domain: str, uris: tuple[str, ...]) -> str | None:
    """Why a client certificate with these URI SANs is nobody here, or None."""
    if len(uris) != 1:
        return f"the certificate has {len(uris)} URI SANs instead of exactly one"
    try:
        identity = parse(uris[0])
    except IdentityError as error:
        return str(error)
    if caller_of(identity, trust_domain) is None:
        return f"{uris[0]} is no service of trust domain {trust_domain}"
    return None


def fingerprints(bundle: TrustBundle) -> frozenset[str]:
    """Of the roots, as connections remember by which of them they believe somebody. Raises ValueError."""
    return frozenset(fingerprint_of(root.pem) for root in bundle.roots)


class ServerContexts:
    """Server contexts by leaf and bundle; those that no view uses any more are dropped.

    The sessions that callers may resume go with the context that made them, so they end when the
    service gets another leaf, or a root is added or removed. `wall_clock` (unix seconds) is for
    refusing to resume with a certificate that has expired.
    """

    def __init__(self, wall_clock: Callable[[], float] = wall_clock) -> None:
        self._wall_clock = wall_clock
        self._made: dict[tuple[str, str, str], ServerTls] = {}
        self._good_bundle = ""

    def require(self, bundle: TrustBundle) -> None:
        """Raise `UnusableMaterial` if the roots cannot be read: no leaf is to blame for that."""
        if bundle.digest != self._good_bundle:
            origination_context(b"\n".join(root.pem for root in bundle.roots))
            self._good_bundle = bundle.digest

    def get(self, leaf: Leaf, bundle: TrustBundle, protocol: str = "tcp") -> ServerTls:
        """For a service of this protocol. Raises `UnusableMaterial`."""
        key = (leaf.digest, bundle.digest, protocol)
        found = self._made.get(key)
        if found is None:
            trust_domain = bundle.trust_domain
            context = server_context(
                leaf.chain_pem,
                leaf.key_pem,
                tuple(root.pem for root in bundle.roots),
                check_peer=lambda uris: peer_problem(trust_domain, uris),
                wall_clock=self._wall_clock,
                alpn=ALPN[protocol],
            )
            found = self._made[key] = ServerTls(context, leaf.digest, bundle.digest)
        return found

    def keep(self, used: frozenset[tuple[str, str]]) -> None:
        """Forget all contexts but these."""
        self._made = {key: made for key, made in self._made.items() if key[:2] in used}


#: What we offer to whom we speak HTTP/2 to (RFC 9113 section 3.2).
HTTP2_ALPN = (b"h2",)

_ClientKey = tuple[str, str, tuple[bytes, ...]]


class ClientContexts:
    """Contexts of gateways' own legs into the mesh, by leaf, bundle and what is offered, as long as some view
    uses them.
    """

    def __init__(self) -> None:
        self._made: dict[_ClientKey, Context] = {}
        self._used: set[_ClientKey] = set()

    def get(self, leaf: Leaf, bundle: TrustBundle, alpn: tuple[bytes, ...] = ()) -> Context:
        """Raises `UnusableMaterial`."""
        key = (leaf.digest, bundle.digest, alpn)
        if key not in self._made:
            roots = tuple(root.pem for root in bundle.roots)
            made = mesh_client_context(leaf.chain_pem, leaf.key_pem, roots, alpn=alpn)
            self._made[key] = made
        self._used.add(key)
        return self._made[key]

    def forget_others(self) -> None:
        """Forget all that were not asked for since the last time."""
        self._made = {key: made for key, made in self._made.items() if key in self._used}
        self._used = set()


class ClientContext:
    """The context of our own legs into the mesh; made anew when the leaf or the roots change."""

    def __init__(self) -> None:
        self._key: tuple[str, str] | None = None
        self._made: Context = None

    def get(self, leaf: Leaf | None, bundle: TrustBundle | None) -> Context:
        """None while either is unknown."""
        if leaf is None or bundle is None:
            return None
        key = (leaf.digest, bundle.digest)
        if key != self._key:
            roots = tuple(root.pem for root in bundle.roots)
            self._made = mesh_client_context(leaf.chain_pem, leaf.key_pem, roots)
            self._key = key
        return self._made


class Origination:
    """TLS to the outside for one set of files, which are read again when they change on disk."""

    __slots__ = ("_alpn", "_context", "_stamp", "_told", "tls")

    def __init__(self, tls: OriginationTls, alpn: tuple[bytes, ...] = ()) -> None:
        self.tls = tls
        self._alpn = alpn
        self._stamp: tuple[tuple[int, int, int], ...] | None = None
        self._context: Context = None
        self._told = ""

    def context(self) -> Context:
        """The context for the files as they are now.

        Raises `UpstreamFault` (upstream_tls) that names the file that cannot be used. One stat per file
        and connection costs a few microseconds and finds a rotation at once.
        """
        try:
            seen = tuple(stamp(path) for path in self._paths())
            if seen != self._stamp:
                self._context = self._load()
                self._stamp = seen
        except (OSError, ValueError) as error:
            self._tell(str(error))
            raise UpstreamFault(End.UPSTREAM_TLS, f"TLS files: {error}") from error
        self._told = ""
        return self._context

    def _tell(self, reason: str) -> None:
        """Once, not for each connection."""
        if reason != self._told:
            log.error("TLS files cannot be used: what needs them is not reached", reason=reason)
            self._told = reason

    def _paths(self) -> tuple[str, ...]:
        tls = self.tls
        return tuple(path for path in (tls.ca_file, tls.cert_file, tls.key_file) if path)

    def _load(self) -> Context:
        tls = self.tls
        return origination_context(
            _read(tls.ca_file) if tls.ca_file else None,
            _read(tls.cert_file) if tls.cert_file else None,
            _read(tls.key_file) if tls.key_file else None,
            alpn=self._alpn,
        )


class Originations:
    """One for each set of files and offer, so that a new snapshot does not have them all read again."""

    def __init__(self) -> None:
        self._made: dict[tuple[OriginationTls, tuple[bytes, ...]], Origination] = {}

    def get(self, tls: OriginationTls, alpn: tuple[bytes, ...] = ()) -> Origination:
        found = self._made.get((tls, alpn))
        if found is None:
            found = self._made[tls, alpn] = Origination(tls, alpn)
        return found

    def keep(self, used: frozenset[OriginationTls]) -> None:
        """Forget all but these."""
        self._made = {key: made for key, made in self._made.items() if key[0] in used}


def stamp(path: str) -> tuple[int, int, int]:
    """What changes when a file does. Raises OSError."""
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
