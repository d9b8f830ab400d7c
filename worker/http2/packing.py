"""What is done outside Python, where that was built: frames followed, field blocks packed and unpacked.

Belongs here: which form a connection has. Never here: either form (`frames`, `_frames`, `_hpack`).
"""

from typing import cast

import hpack
from h2.connection import H2Connection

from worker.http2 import native
from worker.http2.frames import Following, Frames


def following(block_bytes: int) -> Following:
    """For a connection from its first octet; a field block may take that much."""
    return native.frames.Frames(block_bytes) if native.is_built else Frames(block_bytes)


def pack_quickly(connection: H2Connection, max_list_bytes: int) -> None:
    """Before anything is sent; fields that take more than that, unpacked, are refused."""
    if native.is_built:
        connection.encoder = cast(hpack.Encoder, native.hpack.Encoder())
        connection.decoder = cast(hpack.Decoder, native.hpack.Decoder())
    connection.decoder.max_header_list_size = max_list_bytes
