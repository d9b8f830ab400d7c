"""Canonical msgpack: the same value gives the same bytes, and decoding is bounded and typed.

Belongs here: values to bytes and back. Never here: what the values mean.

A value is a tree of msgspec Structs. It goes through plain builtins with sorted keys, so that equal values
have equal bytes in every process; msgpack's own limits bound what a decoder builds before the types are
checked.
"""

from typing import Any, TypeVar

import msgpack
import msgspec

from cluster.errors import WireError

T = TypeVar("T")

#: A snapshot of 25,000 instances and 20,000 intentions is about 10 MiB.
MAX_BYTES = 64 * 1024 * 1024
MAX_ITEMS = 1_000_000


def encode(value: Any) -> bytes:
    """The canonical bytes of a value made of Structs and builtins."""
    plain = msgspec.to_builtins(value, builtin_types=(bytes,), order="deterministic")
    packed: bytes = msgpack.packb(plain, use_bin_type=True)
    return packed


def decode(kind: type[T], data: bytes, *, max_bytes: int = MAX_BYTES) -> T:
    """The value of type `kind` (or of a union of tagged Structs) that `data` holds.

    Raises `WireError` naming what is wrong: too long, not msgpack, or not of that type.
    """
    if len(data) > max_bytes:
        raise WireError(f"{len(data)} bytes are more than the limit of {max_bytes}")
    try:
        plain = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            max_array_len=MAX_ITEMS,
            max_map_len=MAX_ITEMS,
            max_str_len=max_bytes,
            max_bin_len=max_bytes,
        )
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise WireError(f"not msgpack: {error}") from error
    try:
        return msgspec.convert(plain, kind, builtin_types=(bytes,), strict=True)
    except (msgspec.ValidationError, RecursionError) as error:
        raise WireError(f"not a {getattr(kind, '__name__', 'known message')}: {error}") from error
