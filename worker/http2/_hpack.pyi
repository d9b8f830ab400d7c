from collections.abc import Sequence

from worker.http.fields import Field

class Decoder:
    """As `hpack.Decoder`, but for text; `start` is where the block begins in `data`. Raises `HPACKError`."""

    #: What all fields of a block may take (RFC 9113 section 6.5.2), and the table as we have allowed it.
    max_header_list_size: int
    max_allowed_table_size: int

    def __init__(self, max_header_list_size: int = ...) -> None: ...
    @property
    def header_table_size(self) -> int: ...
    def decode(self, data: bytes, raw: bool = True, start: int = 0) -> list[Field]: ...

class Encoder:
    """As `hpack.Encoder`, for names and values in bytes."""

    #: What the other side lets us remember, or less; it is told with the next block.
    header_table_size: int

    def encode(self, fields: Sequence[Field]) -> bytes: ...
