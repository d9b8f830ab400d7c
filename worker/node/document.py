"""Reading the configuration file, HCL or JSON, into plain data that remembers its lines.

Belongs here: the way from disk to plain data. Never here: what the keys mean (`worker.node.config`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from cluster.documents import reading
from cluster.documents.document import Items, Node, Table, plain
from cluster.errors import ConfigError, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The file's content; an empty file is an empty table."""

    tree: Table

    @property
    def plain(self) -> dict[str, Any]:
        return {member.key: plain(member.node) for member in self.tree.members}


def read_document(path: Path) -> Document:
    """Raises ConfigError with everything that is wrong with the text."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise _unreadable(path, "it is not UTF-8") from error
    tree, problems = reading.read_document(str(path), text)
    if problems:
        raise ConfigError(problems)
    if not isinstance(tree, Table):
        raise _unreadable(path, "expected keys and values")
    return Document(tree=tree)


def _unreadable(path: Path, reason: str) -> ConfigError:
    return ConfigError((Problem(message=f"cannot be read: {reason}", file=str(path)),))


def with_lines(problems: Iterable[Problem], document: Document) -> tuple[Problem, ...]:
    """The problems with the lines of the keys that their paths name."""
    return tuple(
        msgspec.structs.replace(problem, line=_line(document.tree, problem.path.split(".")))
        for problem in problems
    )


def _line(node: Node, keys: list[str]) -> int:
    """The line of the last key that is there, 0 if none is."""
    if isinstance(node, Items) and len(node.nodes) == 1:
        node = node.nodes[0]
    if not keys or not isinstance(node, Table):
        return 0
    for member in node.members:
        if member.key == keys[0]:
            return _line(member.node, keys[1:]) or member.line
    return 0
