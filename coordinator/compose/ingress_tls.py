"""The TLS of an ingress gateway's listeners and services, of what three levels of its entry say.

Belongs here: which level wins, and where a certificate comes from. Never here: the rules on one entry
(`coordinator.entries`), or OpenSSL.

A listener's value takes the place of the gateway's, field by field. `Enabled` holds for all below. A
certificate of its own turns TLS on by itself. Certificates of an SDS server are not to be had: what asks for
one is not served, rather than in plain text or under another name.
"""

from collections.abc import Mapping
from typing import Any

from cluster.errors import LockgateError
from cluster.ingress import CertificateFiles, ListenerTls

_Body = Mapping[str, Any]


class NotServed(LockgateError):
    """A listener or a service that is wanted and cannot be served; the text says why."""


def listener_tls(gateway: _Body, listener: _Body) -> ListenerTls | None:
    """None for a plain listener. Raises `NotServed`."""
    files = _own_files(listener) or _own_files(gateway)
    if files is None and (_sds(listener) or _sds(gateway)):
        raise NotServed(_NO_SDS)
    if not (files or _is_enabled(gateway, listener) or _has_service_files(listener)):
        return None
    return ListenerTls(
        min_version=_said("TLSMinVersion", listener, gateway) or "",
        max_version=_said("TLSMaxVersion", listener, gateway) or "",
        cipher_suites=tuple(_said("CipherSuites", listener, gateway) or ()),
        files=files,
    )


def files_of(gateway: _Body, listener: _Body, service: _Body) -> CertificateFiles | None:
    """The service's own certificate. Raises `NotServed` if it has none, and nobody else has one for it."""
    own = _own_files(service)
    if own is None and _sds(service):
        raise NotServed(_NO_SDS)
    around = _own_files(listener) or _own_files(gateway) or _is_enabled(gateway, listener)
    if own is None and not around and _has_service_files(listener):
        raise NotServed("it has no certificate, as TLS is not enabled but by another service's own")
    return own


_NO_SDS = "not served yet: certificates from an SDS server; give CertFile and KeyFile"


def _own_files(place: _Body) -> CertificateFiles | None:
    tls = _tls(place)
    cert, key = tls.get("CertFile", ""), tls.get("KeyFile", "")
    return CertificateFiles(cert_file=cert, key_file=key) if cert and key else None


def _has_service_files(listener: _Body) -> bool:
    return any(_own_files(service) for service in listener.get("Services") or ())


def _is_enabled(*places: _Body) -> bool:
    return any(_tls(place).get("Enabled") for place in places)


def _said(field: str, *places: _Body) -> Any:
    return next((_tls(place)[field] for place in places if _tls(place).get(field)), None)


def _sds(place: _Body) -> bool:
    return bool((_tls(place).get("SDS") or {}).get("CertResource"))


def _tls(place: _Body) -> _Body:
    return place.get("TLS") or {}
