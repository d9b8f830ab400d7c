"""HTTP checks: 2xx passes, 429 warns, all else is critical. Nothing else belongs here.

The output is the beginning of the body; no more of it is read, and it is not unpacked.
Source: Consul, "Health checks", HTTP.
"""

import httpx

from cluster.catalog import Health
from cluster.probes import Probe, shortened

from .trust import context_for

_TOO_MANY_REQUESTS = 429
_HEADERS = {"user-agent": "Lockgate Health Check", "accept-encoding": "identity"}


async def ask(probe: Probe) -> tuple[Health, str]:
    """Send the request. Raises OSError, ssl.SSLError, httpx.HTTPError and httpx.InvalidURL."""
    verify = context_for(probe) if probe.target.lower().startswith("https:") else False
    named = {"sni_hostname": probe.server_name} if probe.server_name else {}
    headers = httpx.Headers(_HEADERS)
    headers.update(httpx.Headers(list(probe.headers)))
    async with (
        httpx.AsyncClient(
            verify=verify,
            trust_env=False,
            follow_redirects=probe.follow_redirects,
            timeout=None,  # the whole probe has one
        ) as client,
        client.stream(
            probe.method,
            probe.target,
            headers=headers,
            content=probe.body.encode() or None,
            extensions=named,
        ) as answer,
    ):
        code = answer.status_code
        body = await _beginning(answer, probe.output_bytes)
    said = f"HTTP {probe.method} {probe.target}: {code} {answer.reason_phrase} Output: "
    return _status(code), shortened(said + body.decode(errors="replace"), probe.output_bytes)


async def _beginning(answer: httpx.Response, most: int) -> bytes:
    body = b""
    async for part in answer.aiter_raw():
        body += part
        if len(body) >= most:
            break
    return body[:most]


def _status(code: int) -> Health:
    if 200 <= code < 300:
        return Health.PASSING
    return Health.WARNING if code == _TOO_MANY_REQUESTS else Health.CRITICAL
