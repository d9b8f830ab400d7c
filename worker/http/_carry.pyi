from typing import Final

from worker.http._channel import Channel

#: What can be done next: call again; wait until the source is readable; nothing.
MORE_AT_ONCE: Final[int]
MORE_LATER: Final[int]
SOURCE_ENDED: Final[int]
SOURCE_LOST: Final[int]
SINK_LOST: Final[int]
#: Reading waits for writing, as in TLS it may: read through the leg.
CROSSED: Final[int]

def carry(source: Channel, sink: Channel, left: int) -> tuple[int, int, bytes]:
    """Move what is there of so many bytes, but not more than others would wait for.

    What can be done next, how many bytes were read, and those of them that the sink has not taken.
    """
