"""accept(2), and a first look at the hello.

The look is an optimisation and never a verdict: it either knows the name of a hello that is all there, in
one record and without fault, or says nothing. Then `worker.hello` reads the same bytes, which are still
in the socket, and decides. A test holds it to saying nothing that `worker.tls.clienthello` would not say.

Belongs here: which form of it this process has. Never here: errors of accept(2), or overload
(`worker.acceptor`).
"""

import socket
from collections.abc import Callable

#: A connection's descriptor (non-blocking, closed on exec), the server name in lower case, and how many
#: bytes the hello's record has; `None` and 0 if the look says nothing.
Arrival = tuple[int, str | None, int]
#: The next connection of a listening socket, None if nobody waits. Raises OSError as accept(2) does.
Accept = Callable[[socket.socket], Arrival | None]


def accept_only(listening: socket.socket) -> Arrival | None:
    """Without a look."""
    try:
        client, _ = listening.accept()
    except BlockingIOError:
        return None
    client.setblocking(False)
    return client.detach(), None, 0


def _accept() -> Accept:
    try:
        from worker.arrival._quick import accept_and_look
    except ImportError:
        return accept_only
    return accept_and_look


accept: Accept = _accept()
