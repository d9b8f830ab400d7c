"""Leaves with their keys on disk, so that a restarted node serves without a coordinator.

Belongs here: one file per identity in a folder of mode 0700. Never here: which are needed (`ring`).
A file is written whole or not at all, and one that is damaged or whose key does not fit is not believed.
"""

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path

import structlog

from cluster.certs import Leaf
from cluster.codec import decode, encode
from cluster.errors import LockgateError
from worker.node.durable import write_file

from .chain import make_leaf

_SUFFIX = ".leaf"

_log = structlog.get_logger(__name__)


class LeafStore:
    """The folder. Blocking; call it in a thread where that matters."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, leaf: Leaf) -> None:
        """Raises OSError; then what was there before stands."""
        write_file(self._folder / _file_name(leaf.uri), encode(leaf))

    def load(self) -> dict[str, Leaf]:
        """Every leaf that can be believed, by identity."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        return {leaf.uri: leaf for leaf in self._leaves()}

    def _leaves(self) -> Iterator[Leaf]:
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            try:
                leaf = decode(Leaf, path.read_bytes())
                yield make_leaf(leaf.uri, leaf.chain_pem, leaf.key_pem)
            except (OSError, LockgateError) as error:
                _log.error("a leaf on disk is not usable", file=str(path), reason=str(error))

    def keep_only(self, uris: Collection[str]) -> None:
        """Remove the leaves of all other identities. Raises OSError."""
        wanted = {_file_name(uri) for uri in uris}
        for path in self._folder.glob(f"*{_SUFFIX}"):
            if path.name not in wanted:
                path.unlink(missing_ok=True)


def _file_name(uri: str) -> str:
    """A URI may hold any character; its hash is a file name of fixed length."""
    return hashlib.sha256(uri.encode()).hexdigest()[:40] + _SUFFIX
