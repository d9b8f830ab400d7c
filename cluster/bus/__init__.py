"""The bus: the only ZeroMQ code of the house. Bytes to and from named peers, as trio channels.

Belongs here: sockets, their options, CURVE and who is let in. Never here: what a message means; a
body is opaque bytes, and `cluster.messages` knows the rest.

    async with serve("tcp://0.0.0.0:7400", curve=CurveServer(secret_key=..., allow=...)) as bus:
        async for incoming in bus.incoming:
            await bus.send(incoming.peer, b"answer to " + incoming.body)

    async with connect("tcp://coordinator:7400", curve=CurveClient(...)) as bus:
        await bus.send(b"hello")
        async for body in bus:
            ...

What is promised, and what is not:

- While a connection lives no message is lost, and what one task sends to one peer arrives in that
  order. `send` returns once the message waits in a bounded queue, and waits itself while that is full.
- When a connection breaks, what was on its way is lost, on both sides. A client reconnects by itself
  and is a new `Peer` (of the same `identity`) to the server; who needs certainty acknowledges.
- After a reconnect nobody has been introduced: `ClientBus.wait_connected` tells of each connection.
- ROUTER drops messages without a word when a peer's queue is full or the peer is away, unless
  ROUTER_MANDATORY is set. It is: a full queue is back-pressure, an absent peer is `PeerGone`.
- With CURVE a peer is its ZAP User-Id, which only our own ZAP handler can set; never the routing id,
  which a client may choose.
- Over TCP a peer that has been silent for three heartbeats is cut off. ZeroMQ cannot tell it from one
  whose reader has had full queues for that long, so a reader that stops for longer is cut off too.

`pump` says how the edge-triggered descriptor is tamed.
"""

from .client import ClientBus, connect
from .curve import CurveClient, CurveServer, KeyPair, keygen, public_key
from .endpoint import EndpointError
from .limits import BusLimits, MessageTooLarge
from .server import Incoming, Peer, PeerGone, ServerBus, serve

__all__ = [
    "BusLimits",
    "ClientBus",
    "CurveClient",
    "CurveServer",
    "EndpointError",
    "Incoming",
    "KeyPair",
    "MessageTooLarge",
    "Peer",
    "PeerGone",
    "ServerBus",
    "connect",
    "keygen",
    "public_key",
    "serve",
]
