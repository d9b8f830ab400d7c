"""Numbers of 64 bits that text comes to, the same in every process and on every host.

Belongs here: the hash. Never here: what is hashed. Nobody is kept from finding texts that collide: who sends
requests with one key gets one endpoint anyway.
"""

import struct
from collections.abc import Iterator
from hashlib import blake2b

BITS = 64
_EIGHT = struct.Struct("<8Q")


def hash64(text: str) -> int:
    """The hash of a text."""
    return int.from_bytes(blake2b(text.encode(errors="replace"), digest_size=8).digest(), "little")


def hashes(text: str, count: int) -> Iterator[int]:
    """Different ones for one text, eight from each digest; the first ones do not depend on the count."""
    for block in range(0, count, 8):
        digest = blake2b(f"{text}_{block}".encode(errors="replace")).digest()
        yield from _EIGHT.unpack(digest)[: count - block]
