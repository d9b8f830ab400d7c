"""Who makes a request: by its token, else by the credentials of the unix socket, else nobody special.

Belongs here: from a connection and its headers to a Speaker. Never here: what a speaker may do
(`coordinator.acl`), or who is let onto the socket at all (`peers`).

A token in the query string is not looked at: addresses end up in logs.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Scope

from coordinator.acl.authorizer import Authorizer
from coordinator.acl.directory import Directory, indexes
from coordinator.acl.rules import MANAGEMENT, OPERATOR, READ_ONLY
from coordinator.acl.speaker import EVERYBODY, Speaker
from coordinator.store.wanted import Wanted

from .answers import ApiError
from .peers import Peer, is_owner

#: What the admin group may be allowed to do on the unix socket.
ROLES = {"management": MANAGEMENT, "operator": OPERATOR, "read": READ_ONLY}
_BEARER = "bearer "


def secret_of(scope: Scope) -> str:
    """The secret that a request bears, empty for none: `X-Consul-Token`, or `Authorization: Bearer`."""
    headers = Headers(scope=scope)
    if secret := headers.get("x-consul-token", ""):
        return secret
    authorization = headers.get("authorization", "")
    return authorization[len(_BEARER) :].strip() if is_bearer(authorization) else ""


def is_bearer(authorization: str) -> bool:
    return authorization[: len(_BEARER)].lower() == _BEARER


def peer_of_scope(scope: Scope) -> Peer | None:
    """The process at the other end of the unix socket; None over TCP."""
    state: dict[str, Any] = scope.get("state") or {}
    peer: Peer | None = state.get("peer")
    return peer


class Access:
    """Recognises speakers. `reset_file` is where somebody on the host allows a second bootstrap."""

    def __init__(
        self,
        wanted: Wanted,
        *,
        enabled: bool,
        default_allow: bool,
        datacenter: str,
        clock: Callable[[], float],
        admin_role: str = "operator",
        reset_file: Path | None = None,
    ) -> None:
        self.enabled = enabled
        self.reset_file = reset_file
        self._wanted = wanted
        self._default_allow = default_allow
        self._datacenter = datacenter
        self._clock = clock
        self._owner = Authorizer(MANAGEMENT, default_allow=False)
        self._admins = Authorizer(ROLES[admin_role], default_allow=False)
        self._directory: Directory | None = None

    @property
    def default(self) -> str:
        return "allow" if self._default_allow or not self.enabled else "deny"

    def directory(self) -> Directory:
        """Tokens, policies and roles as they are now."""
        state = self._wanted.state
        if self._directory is None or self._directory.indexes != indexes(state):
            self._directory = Directory(
                state, datacenter=self._datacenter, default_allow=self._default_allow
            )
        return self._directory

    def speaker(self, scope: Scope) -> Speaker:
        """Who makes the request. Raises ApiError (403) for a token that there is not."""
        secret = secret_of(scope) if self.enabled else ""
        if secret:
            return self._bearer(secret)
        peer = peer_of_scope(scope)
        if peer is not None:
            authorizer = self._owner if is_owner(peer) else self._admins
            return Speaker(name=f"uid {peer.uid}", authorizer=authorizer)
        return self.directory().anonymous() if self.enabled else EVERYBODY

    def _bearer(self, secret: str) -> Speaker:
        speaker = self.directory().speaker(secret, self._clock())
        if speaker is None:
            raise ApiError(403, "ACL not found")
        return speaker
