"""What an endpoint needs of who calls it. Every `Read` and `Do` says so with `needs=`; who does not say, gets
nobody but a manager through, and a test fails.

Belongs here: the ways to say it. Never here: who has a right (`coordinator.acl`).

    needs=operator_read                                       one right
    needs=lambda call: service_read(call.path("service"))     one that the path or the query names, or a
                                                              tuple of rights, all of which are needed
    needs=each(lambda row: node_read(row["Node"]))            a list, of which everybody sees what they may:
                                                              of a list the function gets the row, of an
                                                              object with names as keys `named` gets both
    needs=in_answer                                           the answer asks, before it does anything:
                                                              `call.require(…)`, `call.may(…)`,
                                                              `call.readable(rows, rights)`
    needs=anyone                                              no right at all

`in_answer` is for rights that follow from the body: the answer asks about the checked body that it goes on to
use, not about another reading of the same bytes. An answer that ends without having asked is a bug and gets
500, whoever calls.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from coordinator.acl.rights import acl_write

from .answers import ApiError
from .call import Call, Rights


@dataclass(frozen=True, slots=True)
class Anyone:
    """No right is needed."""


@dataclass(frozen=True, slots=True)
class InAnswer:
    """The answer asks for what it needs."""


@dataclass(frozen=True, slots=True)
class Unstated:
    """Nobody has said; only who may change the ACLs gets through."""


@dataclass(frozen=True, slots=True)
class Each:
    """A list or an object of which only that is shown which may be read."""

    rights: Callable[..., Rights]
    by_name: bool = False

    def kept(self, call: Call, value: Any) -> Any:
        """The value without what the speaker may not read."""
        if isinstance(value, dict):
            return dict(call.readable(value.items(), self._of_pair))
        return call.readable(value, self.rights)

    def _of_pair(self, pair: tuple[str, Any]) -> Rights:
        return self.rights(*pair) if self.by_name else self.rights(pair[1])


anyone = Anyone()
in_answer = InAnswer()
unstated = Unstated()

Needs = Anyone | InAnswer | Unstated | Each | Rights | Callable[[Call], Rights]


def each(rights: Callable[[Any], Rights]) -> Each:
    """Every row, or value of an object, is shown to those who have these rights to it."""
    return Each(rights)


def named(rights: Callable[[str, Any], Rights]) -> Each:
    """Every member of an object, told by its name and value, is shown to those who have these rights."""
    return Each(rights, by_name=True)


def check_needs(call: Call, needs: Needs) -> None:
    """Raises ApiError (403) when the speaker lacks what is needed before the answer is made."""
    if isinstance(needs, Anyone | InAnswer | Each):
        return
    if isinstance(needs, Unstated):
        call.require(acl_write)
    elif callable(needs):
        call.require(needs(call))
    else:
        call.require(needs)


def check_asked(call: Call, needs: Needs) -> None:
    """Raises ApiError (500) when the answer was to ask for rights and did not."""
    if isinstance(needs, InAnswer) and not call.asked.at_all:
        raise ApiError(500, f"{call.request.url.path}: a bug: no right was asked for")


def shown(call: Call, needs: Needs, value: Any) -> Any:
    """The answer as far as the speaker may see it."""
    return needs.kept(call, value) if isinstance(needs, Each) and value else value
