"""Who may speak on the admin socket, and which Host a request over loopback may name without a token.

Belongs here: the decision, from the credentials that the kernel tells of a peer. Never here: tokens.

The socket's mode is the first line; the peer's credentials (SO_PEERCRED) are the second: root, our own user,
and members of the admin group. The kernel tells the primary group only, the other groups are looked up.
"""

import grp
import ipaddress
import os
import pwd
import struct
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from .answers import ApiError, error_answer

UCRED = struct.Struct("3i")  # pid, uid, gid


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The process at the other end of a unix socket."""

    pid: int
    uid: int
    gid: int


def peer_of(credentials: bytes) -> Peer:
    """The peer in the kernel's `struct ucred`, which SO_PEERCRED gives."""
    pid, uid, gid = UCRED.unpack(credentials)
    return Peer(pid=pid, uid=uid, gid=gid)


def may_speak(peer: Peer, *, admin_gid: int | None) -> bool:
    """Whether this process may use the API."""
    if is_owner(peer):
        return True
    return admin_gid is not None and (peer.gid == admin_gid or _is_member(peer.uid, admin_gid))


def is_owner(peer: Peer) -> bool:
    """Whether this is root or our own user, who may read and write our state anyway."""
    return peer.uid in (0, os.geteuid())


def group_id(name: str) -> int | None:
    """The id of the admin group; None for no group. Raises ValueError for one that does not exist."""
    if not name:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ValueError(f"the admin group {name!r} does not exist") from None


def host_is_local(host: str) -> bool:
    """Whether a Host header names loopback or an address, not a name that somebody else resolves.

    A web page can have its own name resolve to 127.0.0.1 and so reach us through a browser; its requests
    then carry that name.
    """
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if name.lower() == "localhost" or name.lower().endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def caller(scope: Scope) -> str:
    """Who asks, in a few words for the history; empty if the connection does not tell."""
    peer: Peer | None = scope.get("state", {}).get("peer")
    if peer is not None:
        return f"user {_user(peer.uid)}"
    host = scope.get("client") or ("",)
    return f"http {host[0]}" if host[0] else ""


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


class Guarded:
    """An application that only answers whom it should: by the peer's credentials, or by the Host header."""

    def __init__(self, app: ASGIApp, *, admin_gid: int | None, with_tokens: bool = False) -> None:
        self._app = app
        self._admin_gid = admin_gid
        self._with_tokens = with_tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (refusal := self._refusal(scope)):
            await error_answer(ApiError(403, refusal))(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> str:
        peer: Peer | None = scope["state"]["peer"]
        if peer is not None:
            if may_speak(peer, admin_gid=self._admin_gid):
                return ""
            return f"Permission denied: user {peer.uid} is not in the admin group"
        if self._with_tokens:
            return ""  # a page that reaches us through a browser has no token to show
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        return "" if host_is_local(host) else f"Permission denied: Host {host[:100]!r} is not local"


def _is_member(uid: int, gid: int) -> bool:
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return False
    return gid in os.getgrouplist(user.pw_name, user.pw_gid)
