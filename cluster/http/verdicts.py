"""What a key set said of tokens, remembered, as checking a signature is what a token costs.

Belongs here: two bounded memories. Never here: keys (`jwks`), or whether a signed token counts (`verify`).

A refusal is remembered too, and apart from what was accepted: whoever sends a bad token over and over pays
for one signature, and whoever sends many different ones drives nobody else's good token out. Tokens are known
by their digest, so none is kept in memory.
"""

from collections.abc import MutableMapping
from hashlib import sha256
from typing import Any, TypeVar

from .jwks import BadToken, KeySet

#: Refusals that are remembered, for each key set.
REFUSALS = 1024

_Said = TypeVar("_Said")


class Verdicts:
    """The answers of one key set, by token."""

    __slots__ = ("_accepted", "_keys", "_refused", "_size")

    def __init__(self, keys: KeySet, size: int) -> None:
        """`size` tokens that were accepted are remembered, at least one: those used last."""
        self._keys = keys
        self._size = max(1, size)
        self._accepted: dict[bytes, dict[str, Any]] = {}
        self._refused: dict[bytes, str] = {}

    def signed(self, token: str) -> dict[str, Any]:
        """The payload of a token that one of the keys signed. Raises `BadToken`."""
        digest = sha256(token.encode()).digest()
        if (claims := _found(self._accepted, digest)) is not None:
            return claims
        if (why := _found(self._refused, digest)) is not None:
            raise BadToken(why)
        try:
            claims = self._keys.signed(token)
        except BadToken as error:
            _remember(self._refused, digest, str(error), REFUSALS)
            raise
        _remember(self._accepted, digest, claims, self._size)
        return claims


def _found(memory: MutableMapping[bytes, _Said], digest: bytes) -> _Said | None:
    """What is remembered; it is the newest from now on."""
    said = memory.pop(digest, None)
    if said is not None:
        memory[digest] = said
    return said


def _remember(memory: MutableMapping[bytes, _Said], digest: bytes, said: _Said, most: int) -> None:
    if len(memory) >= most:
        del memory[next(iter(memory))]
    memory[digest] = said
