"""What a file holds: entries, service definitions, registrations; one or many, all problems at once.

Belongs here: telling the kinds of documents apart, and gathering over files. Never here: the fields and
rules of any of them, or rules between entries (`cross`), for which the store's entries are needed.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from cluster.documents.document import Items, Node, Table
from cluster.documents.reading import read_document
from cluster.errors import Problem

from .entry import Checked, decode_entry
from .files import read_files
from .registrations import decode_registration
from .services import decode_service

_WANTED = (
    "neither a configuration entry (Kind), a service definition (service) "
    "nor a catalog registration (Node, Address)"
)


class EntryItem(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration entry and where it stands."""

    entry: Checked
    file: str = ""
    line: int = 0


class ServiceItem(msgspec.Struct, frozen=True, kw_only=True):
    """A service definition in the form that `services.check_service` gives, and where it stands."""

    definition: dict[str, Any]
    file: str = ""
    line: int = 0


class RegistrationItem(msgspec.Struct, frozen=True, kw_only=True):
    """A registration in the form that `registrations.check_registration` gives, and its place."""

    registration: dict[str, Any]
    file: str = ""
    line: int = 0


Item: TypeAlias = EntryItem | ServiceItem | RegistrationItem


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What was read: only what is valid is among the items, and nothing is invalid unless a problem
    says so."""

    items: tuple[Item, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def load_files(paths: Iterable[str | Path]) -> Loaded:
    """Everything in these files and directories. Blocks on the disk; never raises for what it reads."""
    texts, problems = read_files(paths)
    loaded = [load_text(name, text) for name, text in texts]
    items = tuple(item for one in loaded for item in one.items)
    return Loaded(
        items=items,
        problems=(*problems, *(p for one in loaded for p in one.problems), *_twice(items)),
        warnings=tuple(warning for one in loaded for warning in one.warnings),
    )


def load_text(file_name: str, text: str) -> Loaded:
    """Everything in one text, HCL or JSON. Never raises."""
    node, faults = read_document(file_name, text)
    if node is None:
        return Loaded(problems=faults)
    gathering = _Gathering(file_name)
    for document in node.nodes if isinstance(node, Items) else (node,):
        gathering.document(document)
    return gathering.loaded(faults)


class _Gathering:
    """The items and problems of one file as they come."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.items: list[Item] = []
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def document(self, node: Node) -> None:
        if not isinstance(node, Table):
            self.problems.append(self.problem(_WANTED, node.line))
        elif node.find("Kind"):
            self.entry(node)
        elif node.find("Node") or node.find("Address"):
            self.registration(node)
        elif node.find("service") or node.find("services"):
            self.services(node)
        elif node.members:
            self.problems.append(self.problem(_WANTED, node.line))

    def entry(self, node: Table) -> None:
        checked, problems, warnings = decode_entry(node, self.file)
        self.problems += problems
        self.warnings += warnings
        if checked:
            self.items.append(EntryItem(entry=checked, file=self.file, line=node.line))

    def registration(self, node: Table) -> None:
        registration, problems = decode_registration(node, self.file)
        self.problems += problems
        if registration:
            item = RegistrationItem(registration=registration, file=self.file, line=node.line)
            self.items.append(item)

    def services(self, node: Table) -> None:
        for path, definition in self.definitions(node):
            service, problems = decode_service(definition, self.file, path)
            self.problems += problems
            if service:
                item = ServiceItem(definition=service, file=self.file, line=definition.line)
                self.items.append(item)

    def definitions(self, node: Table) -> Iterator[tuple[str, Node]]:
        """Each definition with its path: `service`, `services[1]`."""
        for member in node.members:
            if member.key not in ("service", "services"):
                message = f"unknown field {member.key} beside service definitions"
                self.problems.append(self.problem(message, member.line, member.key))
            elif isinstance(member.node, Items):
                for index, definition in enumerate(member.node.nodes):
                    yield f"{member.key}[{index}]", definition
            else:
                yield member.key, member.node

    def problem(self, message: str, line: int, path: str = "") -> Problem:
        return Problem(message=message, path=path, file=self.file, line=line)

    def loaded(self, faults: tuple[Problem, ...]) -> Loaded:
        """All of it. What follows from a fault on the same line is not told again."""
        faulty = {fault.line for fault in faults}
        if not (faults or self.items or self.problems or self.warnings):
            self.warnings.append(self.problem("the document holds nothing", 1))
        rest = (problem for problem in self.problems if problem.line not in faulty)
        return Loaded(
            items=() if faults else tuple(self.items),
            problems=tuple(sorted((*faults, *rest), key=lambda problem: problem.line)),
            warnings=tuple(self.warnings),
        )


def _twice(items: Iterable[Item]) -> Iterator[Problem]:
    """An entry or an instance that is defined twice over all files."""
    first: dict[tuple[str, ...], Item] = {}
    for item in items:
        earlier = first.setdefault(_identity(item), item)
        if earlier is not item:
            name = " ".join(part for part in _identity(item) if part)
            message = f"{name} is already defined in {earlier.file}:{earlier.line}"
            yield Problem(message=message, file=item.file, line=item.line)


def _identity(item: Item) -> tuple[str, ...]:
    match item:
        case EntryItem():
            return item.entry.kind, item.entry.name
        case ServiceItem():
            return "service", item.definition["Service"]["ID"]
        case RegistrationItem():
            service = item.registration.get("Service", {})
            return "registration of", item.registration["Node"], service.get("ID", "")
