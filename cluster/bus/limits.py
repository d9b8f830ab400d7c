"""How much the bus holds, and how long it waits: values only, no sockets."""

from dataclasses import dataclass

from cluster.errors import LockgateError


class MessageTooLarge(LockgateError):
    """A body is larger than the bus carries; the receiver would cut the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BusLimits:
    """The bounds of one bus. Both ends should agree on `max_message_bytes`.

    Between a sender and a reader wait at most `outbox_messages` + `high_water_mark` (twice: once on
    each side, besides the kernel's buffers) + `incoming_messages`; then `send` waits.
    """

    max_message_bytes: int = 64 * 1024 * 1024
    high_water_mark: int = 64  # per peer and direction, inside ZeroMQ
    incoming_messages: int = 256  # received and not yet read, all peers together
    outbox_messages: int = 64  # per peer, not yet taken by ZeroMQ
    heartbeat_seconds: float = 5.0  # TCP only; cut off after three of them; 0 turns it off
    reconnect_seconds: float = 0.1  # the first wait; doubles up to `reconnect_max_seconds`
    reconnect_max_seconds: float = 2.0
    linger_seconds: float = 0.25  # how long closing may take, so that a goodbye goes out

    def __post_init__(self) -> None:
        for name in (
            "max_message_bytes",
            "high_water_mark",
            "incoming_messages",
            "outbox_messages",
        ):
            if getattr(self, name) < 1:  # 0 would mean "no limit" to ZeroMQ
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")

    def check(self, body: bytes) -> None:
        """Raise `MessageTooLarge` for a body that the other end would not take."""
        if len(body) > self.max_message_bytes:
            raise MessageTooLarge(
                f"a message of {len(body)} bytes is over the bus's limit of {self.max_message_bytes}"
            )
