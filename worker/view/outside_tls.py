"""TLS towards clients outside the mesh, for the listeners of ingress gateways.

Belongs here: which context a client is met with, and keeping those that did not change. Never here: how a
context is set up (`worker.tls.contexts`).

A certificate in files is read again when they change. While they cannot be used, as one of the two was
written and the other not yet, the last one that could be stays.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog

from cluster.certs import Leaf
from cluster.errors import Refused
from cluster.ingress import CertificateFiles, ListenerTls
from cluster.reasons import End
from worker.tls.contexts import TlsVersions, outside_server_context
from worker.tls.parameters import tls_versions
from worker.view.contexts import Context, stamp

log = structlog.get_logger()

#: The protocols that a client may choose from, in our order.
Alpn = tuple[bytes, ...]
_Stamp = tuple[tuple[int, int, int], ...]
_Key = tuple[str | CertificateFiles, TlsVersions, Alpn]


@dataclass(slots=True)
class OutsideTls:
    """One certificate under one choice of versions. `load` gives the context for what is there now."""

    load: Callable[[], Context]
    stamp: Callable[[], _Stamp] | None = None
    _seen: _Stamp | None = None
    _context: Context = None
    _told: str = ""

    def context(self) -> Context:
        """The context for a client that comes now. Raises `Refused` (handshake_failed) if there is none."""
        if self._context is None or self.stamp is not None:
            self._follow()
        return self._context

    def _follow(self) -> None:
        try:
            seen = self.stamp() if self.stamp else None
            if self._context is None or seen != self._seen:
                self._seen = seen
                self._context = self.load()
        except (OSError, ValueError) as error:
            if self._context is None:
                raise Refused(End.HANDSHAKE_FAILED, f"certificate files: {error}") from error
            self._tell(str(error))

    def _tell(self, reason: str) -> None:
        """Once, not for each client."""
        if reason != self._told:
            log.error("a new certificate is of no use, the old one stays", reason=reason)
            self._told = reason


class OutsideContexts:
    """One for each certificate and choice, as long as some view uses it."""

    def __init__(self) -> None:
        self._made: dict[_Key, OutsideTls] = {}
        self._used: set[_Key] = set()

    def of_leaf(self, leaf: Leaf, tls: ListenerTls, alpn: Alpn = ()) -> OutsideTls:
        """With the gateway's own leaf. Raises `UnusableMaterial`."""
        versions = _versions(tls)
        key = (leaf.digest, versions, alpn)
        load = partial(
            outside_server_context, leaf.chain_pem, leaf.key_pem, alpn=alpn, versions=versions
        )
        found = self._get(key, OutsideTls(load))
        found.context()
        return found

    def of_files(self, files: CertificateFiles, tls: ListenerTls, alpn: Alpn = ()) -> OutsideTls:
        """With a certificate in files, which are read when a client comes. Raises `UnusableMaterial`."""
        versions = _versions(tls)
        paths = (files.cert_file, files.key_file)
        load = partial(_load, paths, versions, alpn)
        made = OutsideTls(load, lambda: tuple(map(stamp, paths)))
        return self._get((files, versions, alpn), made)

    def _get(self, key: _Key, made: OutsideTls) -> OutsideTls:
        self._used.add(key)
        return self._made.setdefault(key, made)

    def forget_others(self) -> None:
        """Forget all that were not asked for since the last time."""
        self._made = {key: made for key, made in self._made.items() if key in self._used}
        self._used = set()


def _versions(tls: ListenerTls) -> TlsVersions:
    return tls_versions(tls.min_version, tls.max_version, tls.cipher_suites)


def _load(paths: tuple[str, str], versions: TlsVersions, alpn: Alpn) -> Context:
    cert_pem, key_pem = map(_read, paths)
    return outside_server_context(cert_pem, key_pem, alpn=alpn, versions=versions)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
