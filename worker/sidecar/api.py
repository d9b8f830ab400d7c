"""The coordinator's HTTP API, as a sidecar uses it.

Belongs here: requests, blocking queries, and what is tried again. Never here: what the answers mean.
"""

import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import structlog
import trio

from cluster.errors import ConfigError, LockgateError, Problem

log = structlog.get_logger()

WAIT_SECONDS = 60
_REQUEST_TIMEOUT_SECONDS = 10.0
#: A coordinator adds up to a sixteenth to the wait, so that not everybody comes back at once.
_WATCH_TIMEOUT_SECONDS = _REQUEST_TIMEOUT_SECONDS + WAIT_SECONDS * 17 / 16
_RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)
#: Between two looks at something that cannot be waited for.
_POLL_SECONDS = 1.0


class ApiError(LockgateError):
    """The coordinator could not be asked, or said no; the text names the address and the answer."""


class NotThere(ApiError):
    """There is nothing of this name; from `index` on can be waited for it, unless that is 0."""

    def __init__(self, text: str, index: int) -> None:
        super().__init__(text)
        self.index = index


@dataclass(frozen=True, slots=True)
class Api:
    """A coordinator to ask."""

    client: httpx.AsyncClient
    address: str

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request. Raises `ApiError` for a failure to connect and for any status but 2xx.

        For 404 that is `NotThere`.
        """
        try:
            response = await self.client.request(method, path, **options)
        except httpx.HTTPError as error:
            raise ApiError(f"{self.address}: {type(error).__name__}: {error}") from error
        if not response.is_success:
            text = f"{method} {path}: {response.status_code} {response.text.strip()[:300]}"
            raise (
                NotThere(text, _index(response)) if response.status_code == 404 else ApiError(text)
            )
        return response

    async def read(self, method: str, path: str, **options: Any) -> tuple[Any, int]:
        """The JSON value of an answer, and its index; 0 if it has none. Raises `ApiError`."""
        response = await self.request(method, path, **options)
        try:
            return response.json(), _index(response)
        except ValueError as error:
            raise ApiError(f"{method} {path}: the answer is not JSON") from error

    async def watch(
        self, path: str, *, optional: bool = False, **params: str
    ) -> AsyncGenerator[Any, None]:
        """The value at `path` now and after every change, by blocking queries; None if it is `optional` and
        there is none.

        A coordinator that is away is asked again with growing pauses; what was yielded stays true meanwhile,
        and the first answer afterwards is yielded whether it changed or not. So is every answer without an
        index, which cannot be waited for.
        """
        index, failures = 0, 0
        while True:
            try:
                value, found = await self._look(path, params, index, optional=optional)
            except ApiError as error:
                pause = _RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)]
                log.warning(
                    "the coordinator does not answer", error=str(error), retry_seconds=pause
                )
                index, failures = 0, failures + 1
                await trio.sleep(pause)
                continue
            failures = 0
            if not index or found != index:
                yield value
            index = found if found >= index else 0  # smaller: its history began anew
            if not index:
                await trio.sleep(_POLL_SECONDS)

    async def _look(
        self, path: str, params: dict[str, str], index: int, *, optional: bool
    ) -> tuple[Any, int]:
        options: dict[str, Any] = {"params": params}
        if index:
            blocking = params | {"index": str(index), "wait": f"{WAIT_SECONDS}s"}
            options = {"params": blocking, "timeout": _WATCH_TIMEOUT_SECONDS}
        try:
            return await self.read("GET", path, **options)
        except NotThere as absent:
            if not optional:
                raise
            return None, absent.index


def _index(response: httpx.Response) -> int:
    """Where in the coordinator's history the answer is from; 0 if it does not say."""
    try:
        return int(response.headers.get("X-Consul-Index") or 0)
    except ValueError as error:
        raise ApiError(f"{response.url.path}: the index of the answer is no number") from error


@asynccontextmanager
async def open_api(address: str, token: str, ca_file: str = "") -> AsyncIterator[Api]:
    """A client for `unix:///path` or `http(s)://host:port`, believing `ca_file` or the host's own roots.

    Raises ConfigError for a file that holds no certificate.
    """
    headers = {"X-Consul-Token": token} if token else {}
    transport, base = None, address
    if address.startswith("unix://"):
        transport = httpx.AsyncHTTPTransport(uds=address.removeprefix("unix://"))
        base = "http://coordinator"
    async with httpx.AsyncClient(
        transport=transport,
        base_url=base,
        headers=headers,
        timeout=_REQUEST_TIMEOUT_SECONDS,
        verify=_context(ca_file) if ca_file else True,
    ) as client:
        yield Api(client, address)


def _context(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        problem = Problem(file=ca_file, message=error.strerror or str(error))
        raise ConfigError((problem,)) from None
