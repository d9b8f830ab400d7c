"""What becomes of a client's connection: made, lost, refused, and made again.

Belongs here: reading ZeroMQ's socket monitor, and dialling where ZeroMQ would not. Never here: what
to say on a new connection.

A DEALER reconnects without a word, but to the server it is a stranger then. Whoever has to introduce
itself, or to say that nobody is there, needs to know.

And it does not always reconnect. After a *protocol error*, as libzmq 4.3.5 calls it (a handshake that
the server refused, a message over the size limit, something that is not ZeroMQ at that port), it gives
the endpoint up for ever. Its monitor then says DISCONNECTED without the CONNECT_RETRIED that follows
at once when it means to try again; so we dial. A node whose key is allowed late gets in by itself.
"""

import math
from collections.abc import Callable

import trio
import zmq
from zmq.utils.monitor import parse_monitor_message

from .pump import can_receive

_REFUSED = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)
_LOST = zmq.EVENT_DISCONNECTED | _REFUSED
#: What a handshake that failed says of the other side. One with another key than we expect cannot read
#: what we say, and hangs up without a word.
_TROUBLE: dict[int, str] = {
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "it refuses our key",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "what is there does not speak as it should",
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "it hangs up in the handshake: perhaps its key is another "
    "than we were told",
}
_UNREACHED = "no connection can be made"
_WATCHED = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_CONNECT_RETRIED | _LOST


class Link:
    """Watches the one connection of a socket, and calls `redial` `patience_seconds` after ZeroMQ
    has given it up.

    Counts `connections` made and `refusals`, handshakes that failed. `trouble` says why there is no
    connection, for people, as far as that can be known; `is_refused`, that our key is.
    """

    def __init__(
        self, socket: zmq.Socket[bytes], redial: Callable[[], None], patience_seconds: float
    ) -> None:
        self.connections = 0
        self.refusals = 0
        self.is_connected = False
        self.is_refused = False
        self.trouble = ""
        self._is_given_up = False
        self._redial = redial
        self._patience_seconds = patience_seconds
        self._events = socket.get_monitor_socket(_WATCHED)
        self._waiting = trio.lowlevel.ParkingLot()

    async def wait_connected(self, after: int) -> int:
        """Wait until more than `after` connections have been made; returns how many."""
        await trio.lowlevel.checkpoint()
        while self.connections <= after:
            await self._waiting.park()
        return self.connections

    async def watch(self) -> None:
        """Read the monitor for ever."""
        while True:
            self._read_waiting()
            patience = self._patience_seconds if self._is_given_up else math.inf
            with trio.move_on_after(patience) as waiting:
                await trio.lowlevel.wait_readable(self._events.FD)
            if waiting.cancelled_caught:
                self._is_given_up = False
                self._redial()

    def _read_waiting(self) -> None:
        while can_receive(self._events):
            self._note(int(parse_monitor_message(self._events.recv_multipart())["event"]))

    def _note(self, event: int) -> None:
        self._is_given_up = bool(event & _LOST)  # until told otherwise
        self.is_connected = event == zmq.EVENT_HANDSHAKE_SUCCEEDED
        if event & _REFUSED:
            self.refusals += 1
            self.trouble = _TROUBLE[event]
            self.is_refused = event == zmq.EVENT_HANDSHAKE_FAILED_AUTH
        elif event == zmq.EVENT_CONNECT_RETRIED:
            self.trouble = self.trouble or _UNREACHED
        if self.is_connected:
            self.connections += 1
            self.trouble, self.is_refused = "", False
            self._waiting.unpark_all()
