"""What the tokens of requests are verified with: the jwt-providers of a snapshot, and keys in files.

Belongs here: keeping what did not change, and reading key files again when they change. Never here: a token
(`cluster.http.verify`), or an intention.

A file that cannot be read has no keys, so no token of its provider counts; it is looked at again as any.
"""

from collections.abc import Iterable

import structlog

from cluster.http import Request
from cluster.http.providers import JwtProvider
from cluster.http.verify import NOTHING_ASKED, TokenVerifier, Verified
from worker.view.contexts import stamp

log = structlog.get_logger()

#: So long may a changed key file go unnoticed.
LOOK_SECONDS = 1.0
MAX_KEY_BYTES = 1024 * 1024
_Stamp = tuple[int, int, int] | None


class Tokens:
    """The providers of one view."""

    __slots__ = ("_files", "_looked", "_seen", "_verifier", "providers")

    _verifier: TokenVerifier

    def __init__(
        self, providers: Iterable[JwtProvider] = (), before: "Tokens | None" = None
    ) -> None:
        """Providers that are in `before` too keep what they remember of tokens."""
        self.providers = tuple(providers)
        self._files = tuple({one.jwks_file for one in self.providers if one.jwks_file})
        self._seen = self._stamps()
        self._looked = 0.0
        known = before._verifier if before is not None else None
        self._verifier = TokenVerifier(self.providers, self._texts(), known)

    @property
    def are_asked_for(self) -> bool:
        """Whether any request may need a look at its tokens."""
        return bool(self.providers)

    def verify(self, providers: frozenset[str], request: Request, now: float) -> Verified:
        """The tokens of these providers at `now`, in seconds since 1970."""
        if not providers and not self._verifier.tells:
            return NOTHING_ASKED
        if self._files and now >= self._looked + LOOK_SECONDS:
            self._look(now)
        return self._verifier.verify(providers, request, now)

    def _look(self, now: float) -> None:
        self._looked = now
        stamps = self._stamps()
        if stamps != self._seen:
            self._seen = stamps
            self._verifier = TokenVerifier(self.providers, self._texts(), self._verifier)

    def _stamps(self) -> dict[str, _Stamp]:
        return {path: _stamp(path) for path in self._files}

    def _texts(self) -> dict[str, str]:
        return {path: _read(path) for path in self._files}


class KeptTokens:
    """Those of the last view; the same again for the same providers."""

    def __init__(self) -> None:
        self._kept = Tokens()

    def of(self, providers: tuple[JwtProvider, ...]) -> Tokens:
        if providers != self._kept.providers:
            self._kept = Tokens(providers, self._kept)
        return self._kept


def _stamp(path: str) -> _Stamp:
    try:
        return stamp(path)
    except OSError:
        return None


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(MAX_KEY_BYTES).decode(errors="replace")
    except OSError as error:
        log.error("the keys of a jwt-provider cannot be read", path=path, reason=str(error))
        return ""
