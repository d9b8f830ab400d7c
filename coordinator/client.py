"""The coordinator's API as its command line uses it: one request after the other, errors in one line.

Belongs here: addresses, requests, and what went wrong with one. Never here: what an answer means.
"""

import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from cluster.errors import LockgateError

DEFAULT_ADDRESS = "unix:///run/lockgate/admin.sock"
_TIMEOUT = httpx.Timeout(60.0, connect=5.0)
#: A signature waits for its turn behind everybody who came before; see `coordinator.ca.admission`.
SIGN_TIMEOUT_SECONDS = 600.0


class ApiUnreachable(LockgateError):
    """The coordinator did not answer; the text names the address."""


class ApiRefused(LockgateError):
    """The coordinator answered with an error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__("; ".join(text.split("\n")) or f"HTTP status {status}")
        self.status = status


class AddressError(LockgateError):
    """The address is none."""


class TlsFilesError(LockgateError):
    """A file for TLS cannot be used."""


@dataclass(frozen=True, slots=True)
class Api:
    """An open connection to one coordinator. Methods raise ApiUnreachable and ApiRefused."""

    client: httpx.Client
    address: str

    def get(self, path: str, **params: str) -> Any:
        """The decoded answer."""
        return self.request("GET", path, params=params).json()

    def put(self, path: str, body: Any = None, **params: str) -> Any:
        """The decoded answer, None for an empty one."""
        return _decoded(self.request("PUT", path, params=params, body=body))

    def post(self, path: str, body: Any, *, timeout_seconds: float = 60.0) -> Any:
        """The decoded answer."""
        return self.request("POST", path, body=body, timeout_seconds=timeout_seconds).json()

    def delete(self, path: str, **params: str) -> Any:
        """The decoded answer, None for an empty one."""
        return _decoded(self.request("DELETE", path, params=params))

    def lines(self, path: str) -> Iterator[str]:
        """The lines of an answer as they come, until it ends. Raises ApiUnreachable when it breaks off."""
        timeout = httpx.Timeout(None, connect=5.0)
        try:
            with self.client.stream("GET", path, timeout=timeout) as response:
                if not response.is_success:
                    raise ApiRefused(response.status_code, response.read().decode().strip())
                yield from response.iter_lines()
        except httpx.HTTPError as error:
            text = f"the coordinator at {self.address} broke off: {error}"
            raise ApiUnreachable(text) from None

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content: bytes | None = None,
        timeout_seconds: float = 60.0,
    ) -> httpx.Response:
        """One request with a JSON `body` or with `content`, and its successful answer."""
        timeout = httpx.Timeout(timeout_seconds, connect=5.0)
        try:
            response = self.client.request(
                method, path, params=params, json=body, content=content, timeout=timeout
            )
        except httpx.TimeoutException:
            raise ApiUnreachable(f"the coordinator at {self.address} does not answer") from None
        except httpx.HTTPError as error:
            reason = re.sub(r"^\[Errno \d+\] ", "", str(error)) or type(error).__name__
            text = f"cannot reach the coordinator at {self.address}: {reason}"
            raise ApiUnreachable(text) from None
        if not response.is_success:
            raise ApiRefused(response.status_code, response.text.strip())
        return response


def path(*segments: str) -> str:
    """`/v1` and the segments, each quoted."""
    return "/v1/" + "/".join(quote(segment, safe="") for segment in segments)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOptions:
    """Files for `https`: whom to believe (empty: the host's own roots), and a certificate to show."""

    ca_file: str = ""
    client_cert: str = ""
    client_key: str = ""

    def context(self) -> ssl.SSLContext:
        """Raises TlsFilesError that names the file."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
            if self.client_cert:
                context.load_cert_chain(self.client_cert, self.client_key or None)
        except OSError as error:
            files = ", ".join(filter(None, (self.ca_file, self.client_cert, self.client_key)))
            raise TlsFilesError(f"{files}: {error.strerror or error}") from None
        return context


@contextmanager
def connect(address: str, token: str = "", tls: TlsOptions | None = None) -> Iterator[Api]:
    """A client for `unix:///path`, `http(s)://host:port` or `host:port`.

    Raises AddressError, TlsFilesError.
    """
    headers = {"X-Consul-Token": token} if token else {}
    base, socket_path = _parsed(address)
    transport = httpx.HTTPTransport(uds=socket_path) if socket_path else None
    verify = (tls or TlsOptions()).context() if base.startswith("https://") else True
    # no proxy of the environment: the address says where the coordinator is
    with httpx.Client(
        base_url=base,
        transport=transport,
        headers=headers,
        timeout=_TIMEOUT,
        trust_env=False,
        verify=verify,
    ) as client:
        yield Api(client, address)


def full_address(address: str) -> str:
    """The address with its scheme: Consul's clients also write `host:port`. Raises AddressError."""
    base, socket_path = _parsed(address)
    return address if socket_path else base


def _parsed(address: str) -> tuple[str, str | None]:
    """Base URL and the unix socket's path, if it is one."""
    if address.startswith("unix://"):
        socket_path = address.removeprefix("unix://")
        if not socket_path.startswith("/"):
            raise AddressError(f"{address!r}: the path of a unix socket begins with /")
        return "http://lockgate", socket_path
    url = address if "://" in address else f"http://{address}"
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise AddressError(f"{address!r} is not an address: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise AddressError(f"{address!r} is neither unix:///path nor http://host:port")
    return url, None


def _decoded(response: httpx.Response) -> Any:
    return response.json() if response.content else None
