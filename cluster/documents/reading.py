"""Text to a document, by its name and look: `.json` is JSON, `.hcl` is HCL, else the text decides.

Belongs here: the choice of a reader. Never here: reading from disk (`files`).
"""

from cluster.errors import Problem

from .document import Node
from .faults import Fault
from .hcl_reader import read_hcl
from .json_reader import read_json


def read_document(file_name: str, text: str) -> tuple[Node | None, tuple[Problem, ...]]:
    """The document in `text`, or None, and what is wrong with the text. Never raises."""
    node, faults = read_json(text) if is_json(file_name, text) else read_hcl(text)
    return node, tuple(_problem(file_name, fault) for fault in faults)


def is_json(file_name: str, text: str) -> bool:
    """Whether to read `text` as JSON."""
    if file_name.endswith((".json", ".hcl")):
        return file_name.endswith(".json")
    return text.lstrip("\ufeff \t\r\n")[:1] in ("{", "[")


def _problem(file_name: str, fault: Fault) -> Problem:
    return Problem(message=fault.message, file=file_name, line=fault.line)
