"""gRPC checks: `grpc.health.v1.Health/Check` must answer SERVING. Nothing else belongs here.

The two messages are small enough to be written down: a string in field 1, an enum in field 1.
Sources: "GRPC Health Checking Protocol"; "gRPC over HTTP2"; Consul, "Health checks", gRPC.
"""

import struct

import httpx

from cluster.catalog import Health
from cluster.probes import Probe

from .place import split_place
from .trust import context_for

_PATH = "/grpc.health.v1.Health/Check"
_STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
_SERVING = "SERVING"
_MOST_BYTES = 1024
#: One byte says uncompressed, four the length.
_PREFIX = struct.Struct("!BI")


async def ask(probe: Probe) -> tuple[Health, str]:
    """Ask. Raises ValueError, OSError, ssl.SSLError, httpx.HTTPError and httpx.InvalidURL."""
    place, _, service = probe.target.partition("/")
    split_place(place)
    scheme = "https" if probe.tls else "http"
    async with (
        httpx.AsyncClient(
            verify=context_for(probe, alpn=("h2",)) if probe.tls else False,
            http1=False,
            http2=True,
            trust_env=False,
            timeout=None,  # the whole probe has one
        ) as client,
        client.stream(
            "POST",
            f"{scheme}://{place}{_PATH}",
            content=request(service),
            headers={"content-type": "application/grpc", "te": "trailers"},
            extensions={"sni_hostname": probe.server_name} if probe.server_name else {},
        ) as answer,
    ):
        if answer.status_code != 200:
            return Health.CRITICAL, f"gRPC check {probe.target}: HTTP status {answer.status_code}"
        if answer.headers.get("grpc-status", "0") != "0":
            said = answer.headers.get("grpc-message", "")
            code = answer.headers["grpc-status"]
            return Health.CRITICAL, f"gRPC check {probe.target}: status {code} {said}"
        body = b""
        async for part in answer.aiter_raw():
            body += part
            if len(body) > _MOST_BYTES:
                break
    found = serving_status(body)
    status = Health.PASSING if found == _SERVING else Health.CRITICAL
    return status, f"gRPC check {probe.target}: {found}"


def request(service: str) -> bytes:
    """A framed HealthCheckRequest."""
    name = service.encode()
    if len(name) > 127:
        raise ValueError("the name of a gRPC service has more than 127 bytes")
    message = b"\x0a" + bytes([len(name)]) + name if name else b""
    return _PREFIX.pack(0, len(message)) + message


def serving_status(body: bytes) -> str:
    """The status in a framed HealthCheckResponse; "no answer" where there is none."""
    if len(body) < _PREFIX.size:
        return "no answer"
    compressed, length = _PREFIX.unpack_from(body)
    message = body[_PREFIX.size :]
    if compressed or length != len(message):
        return "no answer that can be read"
    if not message:
        return _STATUSES[0]  # the default of an enum is not written
    if len(message) < 2 or message[0] != 0x08 or message[1] >= len(_STATUSES):
        return "no answer that can be read"
    return _STATUSES[message[1]]
