"""Which calls go into the audit log, and a call's entry from its beginning to its end.

Belongs here: the frame around a mutating call. Never here: the file (`coordinator.audit`), or who may call.

Every PUT, POST and DELETE of an endpoint goes in, refused ones too; so does a GET that makes something
(`Do(audited=True)`). What only asks by one of these methods, because its question is a body, does not
(`Do(audited=False)`): who plans in a loop would rotate away what was done.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request
from starlette.types import Scope

from coordinator.audit.entry import ENTRY, Entry

from .access import peer_of_scope
from .services import Services

_MOST_PATH = 500
_MUTATING = ("PUT", "POST", "DELETE")


def is_mutating(request: Request) -> bool:
    return request.method in _MUTATING


def entry_for(services: Services, request: Request) -> Entry | None:
    """A new entry; None where there is no audit log."""
    if services.audit is None:
        return None
    return Entry(
        lines=services.audit,
        clock=services.clock,
        method=request.method,
        path=_path(request.scope["path"]),
        source=_source(request.scope),
    )


@contextmanager
def working_for(entry: Entry) -> Iterator[None]:
    """What is committed meanwhile is announced in this entry."""
    token = ENTRY.set(entry)
    try:
        yield
    finally:
        ENTRY.reset(token)


def _path(path: str) -> str:
    """As much of it as tells what was called: with long ones others' calls would soon be rotated away."""
    return path if len(path) <= _MOST_PATH else f"{path[:_MOST_PATH]}… ({len(path)} characters)"


def _source(scope: Scope) -> str:
    """Where a request came from: a process on this host, or an address and the certificate shown."""
    peer = peer_of_scope(scope)
    if peer is not None:
        return f"unix uid {peer.uid} gid {peer.gid} pid {peer.pid}"
    host, port = (scope.get("client") or ("unknown", 0))[:2]
    address = f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    certificate = (scope.get("state") or {}).get("certificate")
    return f"{address} certificate {certificate}" if certificate else address
