"""TLS for the API on TCP: a context of the configured files, made again when they change.

Belongs here: the standard library's contexts (this is no data path, which has `worker.tls`). Never here: what
a client may do; its certificate only opens the connection.

The files are looked at for each connection, which costs three `stat`. Files that cannot be used leave the
context that was there, and the log says so: a renewal that is half written refuses nobody. That a certificate
has ended, or ends within two weeks, is logged too, once each: every client refuses an expired one, and only
the clients would say so.
"""

import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
import trio

from cluster.errors import ConfigError, Problem
from cluster.process.clock import wall_clock
from coordinator.ca.expiry import end_of

log = structlog.get_logger()

_HANDSHAKE_SECONDS = 10.0
_SOON_SECONDS = 14 * 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Paths; with `ca_file` every client must show a certificate that it has issued."""

    cert_file: str
    key_file: str
    ca_file: str = ""


class ServerTls:
    """The present context. Raises ConfigError when the first one cannot be made."""

    def __init__(self, files: TlsFiles, now: Callable[[], float] = wall_clock) -> None:
        self._files = files
        self._now = now
        self._seen = _stamps(files)
        self._context = _context(files)
        self._end = _end(files)
        self._told = ""
        self._tell_of_its_end()

    async def handshake(self, stream: trio.SocketStream) -> trio.SSLStream[trio.SocketStream]:
        """The stream over TLS, in ten seconds. Raises trio.BrokenResourceError, trio.TooSlowError."""
        secure = trio.SSLStream(stream, self._current(), server_side=True, https_compatible=True)
        with trio.fail_after(_HANDSHAKE_SECONDS):
            await secure.do_handshake()
        return secure

    def _current(self) -> ssl.SSLContext:
        stamps = _stamps(self._files)
        if stamps != self._seen:
            self._seen = stamps
            try:
                self._context = _context(self._files)
            except ConfigError as error:
                log.warning("the API keeps its present certificate", error=str(error))
            else:
                log.info("the API has a new certificate", cert_file=self._files.cert_file)
                self._end, self._told = _end(self._files), ""
        self._tell_of_its_end()
        return self._context

    def _tell_of_its_end(self) -> None:
        left = self._end - self._now()
        if left > _SOON_SECONDS:
            return
        event = (
            "the API's certificate ends soon" if left > 0 else "the API's certificate has expired"
        )
        if event != self._told:
            end = datetime.fromtimestamp(self._end, UTC).isoformat()
            tell = log.warning if left > 0 else log.error
            tell(event, cert_file=self._files.cert_file, not_after=end)
            self._told = event


def certificate_name(stream: trio.SSLStream[trio.SocketStream]) -> str:
    """The client certificate's URI, else its common name, else its serial number; empty without one."""
    found = stream.getpeercert()
    if not found:
        return ""
    uris = [value for kind, value in found.get("subjectAltName", ()) if kind == "URI"]
    names = [
        value for part in found.get("subject", ()) for key, value in part if key == "commonName"
    ]
    return next(iter((*uris, *names)), f"serial {found.get('serialNumber', '')}")


def _context(files: TlsFiles) -> ssl.SSLContext:
    """TLS 1.2 or later, HTTP/1.1. Raises ConfigError that names the file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        # an encrypted key would have OpenSSL ask the terminal
        context.load_cert_chain(files.cert_file, files.key_file, password=_no_password)
    except (OSError, ValueError) as error:
        raise _problem(f"{files.cert_file}, {files.key_file}", error) from error
    if files.ca_file:
        try:
            context.load_verify_locations(files.ca_file)
        except OSError as error:
            raise _problem(files.ca_file, error) from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _end(files: TlsFiles) -> float:
    """Of the certificate that was just loaded; one that cannot be read again tells nothing."""
    try:
        return end_of(Path(files.cert_file).read_bytes())
    except (OSError, ValueError):
        return float("inf")


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _problem(files: str, error: Exception) -> ConfigError:
    reason = getattr(error, "strerror", None) or str(error)
    return ConfigError((Problem(message=f"http_tls: {files}: {reason}"),))


def _stamps(files: TlsFiles) -> tuple[tuple[int, int, int] | None, ...]:
    return tuple(map(_stamp, (files.cert_file, files.key_file, files.ca_file)))


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path) if path else None
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found else None
