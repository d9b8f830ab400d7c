"""Consul's rule language: the text of a policy, HCL or JSON, to rules. Pure.

Belongs here: its grammar and every problem of a text at once. Never here: what rules grant (`authorizer`).
Source: Consul, "ACL rules", and `acl/policy.go`. Unknown keys are refused: a misspelt rule grants or denies
something else than was meant.
"""

from collections.abc import Iterator

from cluster.documents.document import Items, Member, Node, Table, Value
from cluster.documents.reading import read_document
from cluster.errors import Problem, ProblemsError

from .rights import Access
from .rules import NAMED, SINGLE, Rule, Rules

_ACCESS = (Access.READ, Access.WRITE, Access.DENY)
_PREFIX = "_prefix"
LIMIT_BYTES = 512 * 1024


class RulesError(ProblemsError):
    """A policy's text is wrong, in one or more places."""


def parse_rules(text: str) -> Rules:
    """The rules of a policy; none for an empty text. Raises RulesError with every problem and its line."""
    if len(text.encode()) > LIMIT_BYTES:
        raise RulesError((Problem(message=f"rules have at most {LIMIT_BYTES} bytes"),))
    if not text.strip():
        return ()
    node, problems = read_document("", text)
    if problems:
        raise RulesError(problems)
    reader = _Reader()
    rules = tuple(reader.rules(node)) if node else ()
    if reader.problems:
        raise RulesError(tuple(reader.problems))
    return rules


class _Reader:
    """Walks the document and gathers what is wrong with it."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def rules(self, node: Node) -> Iterator[Rule]:
        if not isinstance(node, Table):
            self._problem("", "rules are a table of resources", node.line)
            return
        for member in node.members:
            yield from self._resource(member)

    def _resource(self, member: Member) -> Iterator[Rule]:
        key = member.key.lower()
        resource, is_prefix = key.removesuffix(_PREFIX), key.endswith(_PREFIX)
        if resource in NAMED:
            for one in _each(member.node):
                yield from self._names(key, resource, is_prefix, one)
        elif key in SINGLE:
            access = self._access(key, member.node, _ACCESS)
            if access is not None:
                yield Rule(resource=key, access=access)
        else:
            self._problem(member.key, "no such resource", member.line)

    def _names(self, key: str, resource: str, is_prefix: bool, node: Node) -> Iterator[Rule]:
        """Rules of one block: `service "web" { … }` is a table with a member for each name."""
        if not isinstance(node, Table):
            self._problem(
                key, f'a rule needs a name: {key} "NAME" {{ policy = "read" }}', node.line
            )
            return
        for member in node.members:
            for body in _each(member.node):
                yield from self._rule(f'{key} "{member.key}"', resource, member, is_prefix, body)

    def _rule(
        self, path: str, resource: str, name: Member, is_prefix: bool, body: Node
    ) -> Iterator[Rule]:
        if not isinstance(body, Table):
            self._problem(path, 'expected { policy = "…" }', body.line)
            return
        allowed = {"policy": resource} | (
            {"intentions": "intention"} if resource == "service" else {}
        )
        for member in body.members:
            target = allowed.get(member.key.lower())
            if target is None:
                self._problem(f"{path}.{member.key}", "no such field", member.line)
                continue
            words = (*_ACCESS, Access.LIST) if resource == "key" else _ACCESS
            access = self._access(f"{path}.{member.key}", member.node, words)
            if access is not None:
                yield Rule(resource=target, access=access, name=name.key, is_prefix=is_prefix)
        if body.find("policy") is None:
            self._problem(path, "policy is required", body.line)

    def _access(self, path: str, node: Node, allowed: tuple[Access, ...]) -> Access | None:
        found = node.content if isinstance(node, Value) else None
        if isinstance(found, str) and found in allowed:
            return Access(found)
        words = ", ".join(allowed)
        shown = repr(found)[:40] if isinstance(node, Value) else "a block"
        self._problem(path, f"is one of {words}, found {shown}", node.line)
        return None

    def _problem(self, path: str, message: str, line: int) -> None:
        self.problems.append(Problem(message=message, path=path, line=line))


def _each(node: Node) -> tuple[Node, ...]:
    """The blocks of one name, of which there may be one or many."""
    return node.nodes if isinstance(node, Items) else (node,)
