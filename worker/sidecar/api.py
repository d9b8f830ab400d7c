"""The coordinator's HTTP API, as a sidecar uses it.

Belongs here: requests, blocking queries, and what is tried again. Never here: what the answers mean.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import structlog
import trio

from cluster.errors import LockgateError

log = structlog.get_logger()

WAIT_SECONDS = 60
_REQUEST_TIMEOUT_SECONDS = 10.0
_RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0)


class ApiError(LockgateError):
    """The coordinator could not be asked, or said no; the text names the address and the answer."""


@dataclass(frozen=True, slots=True)
class Api:
    """A coordinator to ask."""

    client: httpx.AsyncClient
    address: str

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request. Raises `ApiError` for a failure to connect and for any status but 2xx."""
        try:
            response = await self.client.request(method, path, **options)
        except httpx.HTTPError as error:
            raise ApiError(f"{self.address}: {type(error).__name__}: {error}") from error
        if not response.is_success:
            text = response.text.strip()[:300]
            raise ApiError(f"{method} {path}: {response.status_code} {text}")
        return response

    async def watch(self, path: str, **params: str) -> AsyncIterator[Any]:
        """The value at `path` now and after every change, by blocking queries.

        A coordinator that is away is asked again with growing pauses; what was yielded stays true meanwhile.
        """
        index, failures = 0, 0
        while True:
            query = {
                **params,
                **({"index": str(index), "wait": f"{WAIT_SECONDS}s"} if index else {}),
            }
            timeout = _REQUEST_TIMEOUT_SECONDS + (WAIT_SECONDS * 17 / 16 if index else 0)
            try:
                response = await self.request("GET", path, params=query, timeout=timeout)
            except ApiError as error:
                pause = _RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)]
                log.warning(
                    "the coordinator does not answer", error=str(error), retry_seconds=pause
                )
                failures += 1
                await trio.sleep(pause)
                index = 0
                continue
            failures = 0
            found = int(response.headers.get("X-Consul-Index", "0") or 0)
            changed, index = found != index, found if found >= index else 0
            if changed:
                yield response.json()
            if index < 1:
                await trio.sleep(1.0)  # no index to wait for: ask again in a while


@asynccontextmanager
async def open_api(address: str, token: str) -> AsyncIterator[Api]:
    """A client for `unix:///path` or `http(s)://host:port`."""
    headers = {"X-Consul-Token": token} if token else {}
    transport, base = None, address
    if address.startswith("unix://"):
        transport = httpx.AsyncHTTPTransport(uds=address.removeprefix("unix://"))
        base = "http://coordinator"
    async with httpx.AsyncClient(
        transport=transport, base_url=base, headers=headers, timeout=_REQUEST_TIMEOUT_SECONDS
    ) as client:
        yield Api(client, address)
