"""CURVE keys, and the ZAP handler that decides who is let in (ZeroMQ RFC 26 and 27).

Belongs here: keys and the answer to a handshake. Never here: where keys are kept, who is on the list.

Without a ZAP handler CURVE lets any key in, so a server here always has one. Its answer carries the
User-Id, and the public key as a property of its own, so that a revoked key is known on each message.
A peer cannot forge either: what ZAP says precedes what the peer says in its own metadata.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import trio
import zmq
from zmq.utils import z85

from cluster.errors import ConfigError, Problem

from .pump import can_receive

ZAP_ENDPOINT = "inproc://zeromq.zap.01"
ZAP_DOMAIN = b"lockgate"
USER_ID = "User-Id"
PUBLIC_KEY = "Lockgate-Public-Key"

_Z85_LENGTH = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A CURVE key pair, both halves in Z85 (40 characters, ZeroMQ RFC 32)."""

    public_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveServer:
    """A server's secret key, and the list of who may join.

    `allow` maps a client's public key in Z85 to its User-Id, or to None. It is asked at each handshake
    and for each message, so that the list is live; it must be quick and must not block.
    """

    secret_key: str = field(repr=False)
    allow: Callable[[str], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveClient:
    """A client's key pair and the public key of the server that it expects."""

    secret_key: str = field(repr=False)
    public_key: str
    server_key: str


def keygen() -> KeyPair:
    """A fresh pair, whose public half people can paste.

    One that a command line would take for an option, or HCL for a template, is drawn again.
    """
    while True:
        public, secret = zmq.curve_keypair()
        pair = KeyPair(public_key=public.decode(), secret_key=secret.decode())
        if is_pasteable(pair.public_key):
            return pair


def is_pasteable(key: str) -> bool:
    """Whether a key can stand on a command line and in an HCL string as it is."""
    return not key.startswith("-") and "${" not in key and "%{" not in key


def public_key(secret: str) -> str:
    """The public half of a secret key, both in Z85. Raises ConfigError for what is not a key."""
    return zmq.curve_public(require_key(secret)).decode()


def require_key(text: str) -> bytes:
    """A key as libzmq takes it. Raises ConfigError, which does not quote the key: it may be secret."""
    if len(text) != _Z85_LENGTH:
        raise _bad_key(f"this one has {len(text)}")
    encoded = text.encode()
    if not set(encoded) <= set(z85.Z85CHARS):
        raise _bad_key("this one has others")
    return encoded


def _bad_key(detail: str) -> ConfigError:
    message = f"a CURVE key has {_Z85_LENGTH} characters of the Z85 alphabet, {detail}"
    return ConfigError([Problem(message=message)])


def be_server(socket: zmq.Socket[bytes], curve: CurveServer) -> None:
    """Make a socket, not yet bound, accept CURVE only, and nobody unless ZAP answers."""
    socket.curve_server = True
    socket.curve_secretkey = require_key(curve.secret_key)
    socket.zap_domain = ZAP_DOMAIN
    socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)


def be_client(socket: zmq.Socket[bytes], curve: CurveClient) -> None:
    """Make a socket, not yet connected, speak CURVE to one server key only."""
    socket.curve_secretkey = require_key(curve.secret_key)
    socket.curve_publickey = require_key(curve.public_key)
    socket.curve_serverkey = require_key(curve.server_key)


async def answer_handshakes(socket: zmq.Socket[bytes], curve: CurveServer) -> None:
    """Answer ZAP requests on a REP socket for ever."""
    while True:
        _answer_waiting(socket, curve)
        await trio.lowlevel.wait_readable(socket.FD)


def _answer_waiting(socket: zmq.Socket[bytes], curve: CurveServer) -> None:
    while can_receive(socket):
        socket.send_multipart(zap_answer(socket.recv_multipart(), curve.allow))


def zap_answer(
    request: Sequence[bytes], allow: Callable[[str], str | None]
) -> tuple[bytes, bytes, bytes, bytes, bytes, bytes]:
    """The six frames that answer a ZAP request (RFC 27): 200 and a User-Id, or 400."""
    version, request_id, *rest = request
    key, name = "", None
    if len(rest) == 5 and rest[3] == b"CURVE":  # domain, address, routing id, mechanism, key
        key = z85.encode(rest[4]).decode()
        name = allow(key)
    if not name:
        return (version, request_id, b"400", b"this key is not on the list", b"", b"")
    return (version, request_id, b"200", b"", name.encode(), _property(PUBLIC_KEY, key))


def _property(name: str, value: str) -> bytes:
    """One ZMTP metadata property (RFC 23): a byte of length and the name, four and the value."""
    return bytes([len(name)]) + name.encode() + len(value).to_bytes(4, "big") + value.encode()
