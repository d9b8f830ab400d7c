"""One HTTP request as the rules see it, whichever version of HTTP it came by.

Belongs here: the value. Never here: how it is read from the wire, or a body.

Text is text of the wire: every character stands for one byte (Latin-1), so nothing is lost and nothing is
guessed. `wire_text` turns what somebody wrote in a configuration into it.
"""

import msgspec

#: Names in lower case, values without the blanks around them, in the order they came.
Headers = tuple[tuple[str, str], ...]


class Request(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What routes and permissions look at. A Struct, as one is made for each request.

    `path` is normalised and has neither query nor fragment (`cluster.http.target`); what goes on to the
    destination is `target`, never what the client wrote: what was judged is what is sent. `query` has no
    question mark, `host` is the Host header or `:authority`, port included.
    """

    method: str = "GET"
    path: str = "/"
    query: str = ""
    host: str = ""
    headers: Headers = ()

    @property
    def target(self) -> str:
        """Path and query as they are sent on."""
        return f"{self.path}?{self.query}" if self.query else self.path

    def header(self, name: str) -> str | None:
        """The value of a header (`name` in lower case), several joined with a comma; None without one."""
        found = [value for key, value in self.headers if key == name]
        if len(found) == 1:
            return found[0]
        return ",".join(found) if found else None


def wire_text(text: str) -> str:
    """Text that somebody wrote, as it looks on the wire: UTF-8, a character for each byte."""
    return text if text.isascii() else text.encode().decode("latin-1")


def written_text(text: str) -> str:
    """The other way round; bytes that are no UTF-8 become U+FFFD each, so that none gets lost."""
    return text if text.isascii() else text.encode("latin-1", "replace").decode(errors="replace")
