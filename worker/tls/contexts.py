"""OpenSSL contexts: what a leg presents, what it demands, and what it is willing to speak.

Belongs here: everything that is decided before a connection exists. Contexts are made when a snapshot
is applied or a file changed, never per connection, and cost a millisecond or so. Never here: which
leaf belongs to which name, or reading files.

What holds for all of them: TLS 1.2 or later, no renegotiation, no compression, buffers released
while idle, AES-128-GCM first (fastest with AES instructions, and nobody breaks it). The key exchange
groups are OpenSSL's own choice, which begins with X25519MLKEM768.

Sessions. A server context lets callers resume by stateless tickets (RFC 8446 section 4.6.1, RFC 5077):
the session, client certificate and all, encrypted with keys that are made with the context, never
leave the process and die with it. So a ticket is good at one leaf and one set of roots, in one worker,
for an hour; elsewhere and later it costs a full handshake. Whoever resumes is asked about again
(`verification`), and routed and authorised as everybody else: a session proves who calls, never that
he may. Early data stays off, as anybody can replay it. Our own clients never resume.

Measured: CPU of the server per handshake in microseconds (mutual TLS, P-256, OpenSSL 4.0, medians of
eight interleaved runs), and what the process keeps of each full handshake, TLS 1.3:

                        full 1.3  resumed 1.3  full 1.2  resumed 1.2      kept  bytes after Finished
    no sessions              509            -       430            -         0                   158
    stateless tickets        577          265       465           77         0                 1,374
    the context's cache      524          187       430           47    11 kB                    158

The cache (OP_NO_TICKET) would be cheaper, but holds each caller's parsed certificate and up to 20,480
sessions per context, which cannot be lowered through `cryptography`: 113 MB for each service, filled
by anybody with a valid certificate in seconds. Stateless tickets are what HAProxy and nginx use.
Half of what they cost is the second ticket; their number cannot be set here either (but by a
`NumTickets = 1` in a file that OPENSSL_CONF names: 40 microseconds and 700 bytes less).

A certificate in a list of roots is trusted whether or not it signed itself (OpenSSL's PARTIAL_CHAIN),
so that naming an intermediate, or the server's own certificate, does what it seems to do.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto

from cluster.process.clock import wall_clock
from worker.tls import names_match
from worker.tls.openssl import clear_errors
from worker.tls.peer import PeerCheck
from worker.tls.verification import (
    ANYBODY,
    ServerTerms,
    ask_again_when_resumed,
    demand_nothing,
    require_peer,
)

_TLS13_SUITES: Final = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
_TLS12_MESH_SUITES: Final = b"ECDHE+AES128+AESGCM:ECDHE+AESGCM:ECDHE+CHACHA20"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsVersions:
    """What the mesh's own legs speak (`TLS.Incoming` and `TLS.Outgoing` of the entry `mesh`).

    Versions are code points (0x0303 is TLS 1.2). `tls12_suites` is OpenSSL's cipher list format.
    """

    lowest: int = SSL.TLS1_2_VERSION
    highest: int = SSL.TLS1_3_VERSION
    tls12_suites: bytes = _TLS12_MESH_SUITES


#: How long a ticket is good for. Each resumption gives a new one, so a caller may go on like this until
#: its certificate ends; it is authorised anew each time.
SESSION_SECONDS: Final = 3600

DEFAULT_VERSIONS: Final = TlsVersions()

#: From the server's name as it was asked for to the check its certificate must pass.
NameCheck = Callable[[str], PeerCheck]


class UnusableMaterial(ValueError):
    """A certificate, key or root that no context can be made of; the text says which and why."""


def server_context(
    chain_pem: bytes,
    key_pem: bytes,
    roots: Sequence[bytes],
    *,
    check_peer: Callable[[tuple[str, ...]], str | None],
    alpn: tuple[bytes, ...] = (),
    versions: TlsVersions = DEFAULT_VERSIONS,
    wall_clock: Callable[[], float] = wall_clock,
) -> SSL.Context:
    """For the legs on which the mesh calls us: a client certificate is demanded.

    `chain_pem` is the leaf and its intermediates, `roots` the PEM of every trusted root. `check_peer`
    gets the URI SANs of a certificate that leads to one of them and says what is wrong with it, or
    None; the client then reads the alert bad_certificate. `alpn` in our order of preference; a client
    that offers none of them goes on without. A client that resumes a session is asked about again,
    with the certificate of that session, which must not have expired by `wall_clock` (unix seconds).
    Raises `UnusableMaterial`.
    """
    context = _context(SSL.TLS_SERVER_METHOD, versions)
    context.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE)
    context.set_timeout(SESSION_SECONDS)
    ask_again_when_resumed(context)
    context.set_session_id(hashlib.sha256(b"\0".join(roots)).digest())
    _present(context, chain_pem, key_pem)
    _trust(context, b"\n".join(roots))
    if alpn:
        context.set_alpn_select_callback(_alpn_selector(alpn))

    context.set_app_data(ServerTerms(lambda peer: check_peer(peer.uris), wall_clock))
    return context


def outside_server_context(
    chain_pem: bytes,
    key_pem: bytes,
    *,
    alpn: tuple[bytes, ...] = (),
    versions: TlsVersions = DEFAULT_VERSIONS,
) -> SSL.Context:
    """For the legs on which clients outside the mesh call us: nobody is asked for a certificate.

    Arguments are those of `server_context`. Raises `UnusableMaterial`.
    """
    context = _context(SSL.TLS_SERVER_METHOD, versions)
    demand_nothing(context)
    context.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE)
    context.set_timeout(SESSION_SECONDS)
    _present(context, chain_pem, key_pem)
    if alpn:
        context.set_alpn_select_callback(_alpn_selector(alpn))
    context.set_app_data(ANYBODY)
    return context


def mesh_client_context(
    chain_pem: bytes,
    key_pem: bytes,
    roots: Sequence[bytes],
    *,
    alpn: tuple[bytes, ...] = (),
    versions: TlsVersions = DEFAULT_VERSIONS,
) -> SSL.Context:
    """For the legs on which we call into the mesh: our leaf is presented, the mesh's roots are trusted.

    Whoever connects must say whom it expects (`names_match.with_uri`). Raises `UnusableMaterial`.
    """
    context = _client_context(versions)
    _present(context, chain_pem, key_pem)
    _trust(context, b"\n".join(roots))
    if alpn:
        context.set_alpn_protos(list(alpn))
    return context


def origination_context(
    ca_pem: bytes | None = None,
    cert_pem: bytes | None = None,
    key_pem: bytes | None = None,
    *,
    alpn: tuple[bytes, ...] = (),
) -> SSL.Context:
    """For the legs from a terminating gateway to a service outside the mesh.

    Without `ca_pem` the system's roots are trusted. The server's certificate must name the server as
    it is asked for. Cipher suites are OpenSSL's defaults: the outside is not ours to choose. Raises
    `UnusableMaterial`.
    """
    context = _client_context(TlsVersions(tls12_suites=b"DEFAULT"))
    if ca_pem is None:
        context.set_default_verify_paths()
    else:
        _trust(context, ca_pem)
    if cert_pem is not None and key_pem is not None:
        _present(context, cert_pem, key_pem)
    elif cert_pem is not None or key_pem is not None:
        raise UnusableMaterial("a client certificate needs both a certificate and a key")
    if alpn:
        context.set_alpn_protos(list(alpn))
    context.set_app_data(names_match.named)
    return context


def _client_context(versions: TlsVersions) -> SSL.Context:
    context = _context(SSL.TLS_CLIENT_METHOD, versions)
    context.set_options(SSL.OP_NO_TICKET)
    return context


def _context(method: int, versions: TlsVersions) -> SSL.Context:
    clear_errors()
    context = SSL.Context(method)
    context.set_min_proto_version(max(versions.lowest, SSL.TLS1_2_VERSION))
    context.set_max_proto_version(versions.highest)
    context.set_tls13_ciphersuites(_TLS13_SUITES)
    try:
        context.set_cipher_list(versions.tls12_suites)
    except SSL.Error as error:
        suites = versions.tls12_suites.decode("ascii", "replace")
        raise UnusableMaterial(f"cipher suites {suites}: {_first_reason(error)}") from error
    context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    require_peer(context)
    return context


def _present(context: SSL.Context, chain_pem: bytes, key_pem: bytes) -> None:
    """Make `context` show this chain, leaf first, and prove it with this key."""
    leaf, *intermediates = _certificates(chain_pem, "the certificate chain")
    try:
        context.use_certificate(leaf)
        for intermediate in intermediates:
            context.add_extra_chain_cert(intermediate)
        context.use_privatekey(_private_key(key_pem))
        context.check_privatekey()
    except SSL.Error as error:
        raise UnusableMaterial(f"certificate and key: {_first_reason(error)}") from error


def _private_key(key_pem: bytes) -> EllipticCurvePrivateKey | Ed25519PrivateKey | RSAPrivateKey:
    try:
        key = load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError) as error:  # TypeError: it is encrypted
        raise UnusableMaterial(f"the private key: {error}") from error
    if not isinstance(key, (EllipticCurvePrivateKey, Ed25519PrivateKey, RSAPrivateKey)):
        raise UnusableMaterial(f"the private key: {type(key).__name__} is no key for TLS")
    return key


def _trust(context: SSL.Context, roots_pem: bytes) -> None:
    store = context.get_cert_store()
    assert store is not None, "a new context has a store"
    for root in _certificates(roots_pem, "the trusted roots"):
        store.add_cert(crypto.X509.from_cryptography(root))
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)


def _certificates(pem: bytes, what: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise UnusableMaterial(f"{what}: {error}") from error


def _alpn_selector(ours: tuple[bytes, ...]) -> SSL._ALPNSelectCallback:
    def select(_: SSL.Connection, theirs: list[bytes]) -> bytes | SSL._NoOverlappingProtocols:
        return next((name for name in ours if name in theirs), SSL.NO_OVERLAPPING_PROTOCOLS)

    return select


def _first_reason(error: SSL.Error) -> str:
    """OpenSSL's words for what went wrong; its errors carry (library, function, reason) triples."""
    entries = error.args[0] if error.args else ()
    return next((reason for _, _, reason in entries if reason), "no reason given")
