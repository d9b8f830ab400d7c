"""Active health checks as values: what a gateway host is to probe, and what it found.

Belongs here: the two structures that coordinator, node and prober exchange. Never here: which checks are
probed by whom (`coordinator.health.probes`), probing (`worker.prober`), or what verdicts lead to
(`coordinator.health.verdicts`).
"""

from enum import StrEnum, unique

import msgspec

from cluster.catalog import Health

#: What a verdict may say, in bytes; Consul's default.
MAX_OUTPUT_BYTES = 4096


@unique
class ProbeKind(StrEnum):
    """How a check is done."""

    HTTP = "http"
    TCP = "tcp"
    GRPC = "grpc"


class Probe(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One check to be done every `interval_seconds`; `check` is its key in the catalog, `node/id`.

    `target` is a URL for HTTP, `host:port` for TCP, `host:port` with an optional `/service` for gRPC. With
    `tls`, which a URL says itself, the peer is verified by `ca_file` (a path on the prober's host; empty:
    the host's roots) for `server_name` (empty: the host of the target), unless `skip_verify`.
    """

    check: str
    kind: ProbeKind
    target: str
    interval_seconds: float
    timeout_seconds: float
    tls: bool = False
    skip_verify: bool = False
    server_name: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: str = ""
    follow_redirects: bool = True
    output_bytes: int = MAX_OUTPUT_BYTES


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one probing found; `output` says it in words and is at most `MAX_OUTPUT_BYTES` long."""

    check: str
    status: Health
    output: str = ""


def shortened(text: str, limit: int = MAX_OUTPUT_BYTES) -> str:
    """The beginning of `text`, at most `limit` bytes of UTF-8."""
    return text.encode(errors="replace")[:limit].decode(errors="ignore")
