"""How much and how long HTTP may take.  ●

Belongs here: the bounds and their reasons. Never here: enforcing one.
"""

from dataclasses import dataclass

#: A line of a chunk, its extensions included; nobody needs extensions, so this is generous.
CHUNK_LINE_BYTES = 256
#: What the lines of a body's chunks may take beside their data, before it is no body but a flood. Each chunk
#: earns 16 bytes and twice its data, so nobody who sends a byte at a time without extensions gets near.
CHUNK_EXCESS_BYTES = 16 * 1024
#: All trailers of a message.
TRAILER_BYTES = 8 * 1024
#: The rest of a body that nobody wants is read up to here, to keep the connection; beyond it is closed.
UNWANTED_BODY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """Bounds of one connection. Sizes and counts are of one head; `head_bytes` and 100 fields are Envoy's.

    `idle_seconds` is between requests, `head_seconds` from a head's first byte to its last, and
    `stall_seconds` how long no byte of a body may move.
    """

    head_bytes: int = 60 * 1024
    fields: int = 100
    idle_seconds: float = 3600.0
    head_seconds: float = 30.0
    stall_seconds: float = 300.0


DEFAULT_LIMITS = HttpLimits()
