"""One request as an endpoint sees it: its parameters, the wanted state, and who is asking.

Belongs here: what every answer may ask of its call. Never here: an answer.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from starlette.requests import Request

from coordinator.acl.rights import Right
from coordinator.acl.speaker import EVERYBODY, Speaker
from coordinator.store.state import State

from .answers import ApiError
from .services import Services

T = TypeVar("T")

Rights = Right | tuple[Right, ...]


@dataclass(slots=True)
class Asked:
    """What became of a call's questions after rights."""

    at_all: bool = False
    hidden: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, what to work with, the wanted state at the moment, and who speaks."""

    services: Services
    request: Request
    state: State
    speaker: Speaker
    asked: Asked = field(default_factory=Asked)

    @classmethod
    def of(cls, services: Services, request: Request) -> "Call":
        """The call at this moment. Raises ApiError (403) for a token that there is not."""
        speaker = services.access.speaker(request.scope)
        return cls(services=services, request=request, state=services.wanted.state, speaker=speaker)

    def again(self) -> "Call":
        """The same call now: its token may have ended while it waited. Raises ApiError (403)."""
        return Call.of(self.services, self.request)

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def query(self, name: str, default: str = "") -> str:
        """A parameter of the query string."""
        return self.request.query_params.get(name, default)

    def required(self, name: str) -> str:
        """A parameter of the query string. Raises ApiError (400) if it is absent or empty."""
        value = self.query(name)
        if not value:
            raise ApiError(400, f"required query parameter '{name}' not set")
        return value

    def flag(self, name: str) -> bool:
        """Whether a parameter is set, as Consul reads it: `?passing`, `?passing=true`, not `=false`."""
        return self.query(name, "false").lower() not in ("false", "0", "f")

    def may(self, rights: Rights) -> bool:
        """Whether the speaker has the right, or all of several."""
        self.asked.at_all = True
        return self._lacking(rights) is None

    def require(self, rights: Rights) -> None:
        """Raises ApiError (403) that names the first right that the speaker has not."""
        self.asked.at_all = True
        lacking = self._lacking(rights)
        if lacking is not None:
            raise ApiError(403, self.speaker.refusal(lacking))

    def readable(self, items: Iterable[T], rights: Callable[[T], Rights]) -> list[T]:
        """The items that the speaker may read. Others are left out silently, as Consul does."""
        self.asked.at_all = True
        found = list(items)
        if self.speaker is EVERYBODY:  # tens of thousands of rows cost tens of milliseconds
            return found
        kept = [item for item in found if self._lacking(rights(item)) is None]
        self.asked.hidden += len(found) - len(kept)
        return kept

    def _lacking(self, rights: Rights) -> Right | None:
        needed = rights if isinstance(rights, tuple) else (rights,)
        allows = self.speaker.authorizer.allows
        return next((right for right in needed if not allows(right)), None)
