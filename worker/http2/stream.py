"""One stream: what has come of its request, and the saying of its answer.

A piece of a body is given back to the caller's window when somebody has taken it, and not before. So what may
wait here is what the window is wide.

Belongs here: one stream's two directions. Never here: whose request it is, or its answer (`serving`).
"""

from collections.abc import Iterable

import trio
from h2.errors import ErrorCodes

from worker.http.fields import Field, Fields
from worker.http.patience import Scope
from worker.http2.link import Link

#: Counted for a request whose answer nobody waited for; nginx has it from nobody, and everybody from nginx.
GONE = 499


class _Nobody:
    """Serves a stream that nobody serves yet."""

    def cancel(self) -> None:
        """Whoever is to serve it looks at `is_cut`."""


NOBODY = _Nobody()


class Gone(Exception):
    """The stream is over: nobody waits for its answer any more."""


class Stream:
    """A request of a caller, from the moment its fields are there."""

    __slots__ = (
        "_changed",
        "_lent",
        "_link",
        "_pieces",
        "_unread",
        "asked",
        "has_answered",
        "has_body",
        "is_answered",
        "is_cut",
        "is_over",
        "is_whole",
        "number",
        "scope",
        "trailers",
    )

    def __init__(self, link: Link, number: int, fields: list[Field], *, is_whole: bool) -> None:
        self.number = number
        #: The fields it began with.
        self.asked = fields
        #: Whether more than the fields belongs to the request, be it nothing.
        self.has_body = not is_whole
        #: Whether all of the request is here.
        self.is_whole = is_whole
        #: As they came; whole when the request is.
        self.trailers: Iterable[Field] = ()
        #: Whether the head of an answer was sent.
        self.has_answered = False
        #: Whether all of an answer was.
        self.is_answered = False
        #: Whether neither side has to say anything more.
        self.is_over = False
        #: Whether somebody ended it before its time.
        self.is_cut = False
        #: Whoever serves it; cancelled when the stream is over, or its time.
        self.scope: Scope = NOBODY
        self._link = link
        self._pieces: list[bytes] = []
        self._unread = 0  # octets of these, padding and all
        self._lent = 0  # of those that somebody has, and did not use yet
        self._changed: trio.Event | None = None

    # What the reader of the connection tells.

    def arrived(self, data: bytes, octets: int) -> None:
        """A piece of the body, which took so many octets of the window."""
        self._unread += octets
        if data:
            self._pieces.append(data)
            self._link.calm.carried(len(data))
        self.wake()

    def ended(self, trailers: Iterable[Field] = ()) -> None:
        """The request is whole."""
        if not self.is_whole:
            self.trailers = trailers or self.trailers
            self.is_whole = True
            self.wake()

    def broken_off(self) -> None:
        """The stream is over before its time."""
        self.is_over = True
        self.cut()

    def cut(self) -> None:
        """Nobody is to serve it any more."""
        self.is_cut = True
        self.scope.cancel()

    def wake(self) -> None:
        """Whoever waits for something of this stream may look again."""
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    # What whoever serves it asks for.

    @property
    def unread_bytes(self) -> int:
        """Of the body, padding and all, that nobody has yet."""
        return self._unread

    @property
    def content_bytes(self) -> int:
        """The same without padding."""
        return sum(map(len, self._pieces))

    async def piece(self) -> bytes:
        """What there is of the body that was not taken before; `b""` at its end."""
        while not self._pieces:
            if self.is_whole:
                return b""
            await self._change()
        pieces, self._pieces = self._pieces, []
        self._lent, self._unread = self._lent + self._unread, 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def whole(self) -> bytes:
        """The same where all of the body is here."""
        content = b"".join(self._pieces)
        self._pieces.clear()
        self._lent, self._unread = self._lent + self._unread, 0
        return content

    def took(self) -> None:
        """All that `piece` gave is used: as much may come again."""
        size, self._lent = self._lent, 0
        self._link.took(self.number, size)

    def has_room(self, size: int) -> bool:
        """Whether an answer with a body of that size can be said at once."""
        return self._link.has_room(self.number, size)

    def answer(self, fields: list[Field], content: bytes, *, has_body: bool) -> None:
        """All of an answer, where there is room for it. Raises `Gone`, `Broken`."""
        if self.is_over:
            raise Gone
        self._link.answer(self.number, fields, content, has_body=has_body)
        self.has_answered = self.is_answered = True

    def head(self, fields: list[Field], *, is_last: bool = False, is_interim: bool = False) -> None:
        """The head of an answer. Raises `Gone`."""
        self._say(fields, is_last=is_last)
        self.has_answered = self.has_answered or not is_interim

    async def room(self) -> None:
        """Wait until there is not too much to be sent before; for heads of which there may be many."""
        await self._link.room()

    async def send(self, content: bytes, *, is_last: bool = False) -> None:
        """A piece of the answer's body, as the caller takes it. Raises `Gone`, `Broken`."""
        left = memoryview(content)
        while left or is_last:
            await self._link.room()
            if self.is_over:
                raise Gone
            taken = self._link.piece(self.number, left, is_last=is_last)
            if taken == len(left):
                self.is_answered = is_last
                return
            left = left[taken:]
            if not taken:
                await self._change()

    def end(self, trailers: Fields = ()) -> None:
        """The answer is over. Raises `Gone`."""
        if trailers:
            self._say(list(trailers), is_last=True)
        elif self.is_over:
            raise Gone
        else:
            self._link.piece(self.number, memoryview(b""), is_last=True)
            self.is_answered = True

    def reset(self, code: ErrorCodes) -> None:
        """End it, whatever it was about; nothing if it is over."""
        if not self.is_over and not (self.is_answered and self.is_whole):
            self.is_over = True
            self._link.reset(self.number, code)

    def refuse(self) -> None:
        """End it for what the caller did, which may not happen too often. Raises `Broken`."""
        self.reset(ErrorCodes.PROTOCOL_ERROR)
        self._link.calm.refused(self._link.clock())

    def leave(self) -> None:
        """Nobody serves it any more: what nobody took is given back to the connection's window, and who is
        still sending a body is told to stop (RFC 9113 section 8.1).
        """
        size = self._unread + self._lent
        self._unread = self._lent = 0
        self._pieces.clear()
        if not self.is_whole:
            self.reset(ErrorCodes.NO_ERROR)
        self.is_over = True
        self._link.took(self.number, size)

    def _say(self, fields: list[Field], *, is_last: bool) -> None:
        if self.is_over:
            raise Gone
        self._link.fields(self.number, fields, is_last=is_last)
        self.is_answered = is_last

    async def _change(self) -> None:
        self._changed = self._changed or trio.Event()
        await self._changed.wait()
