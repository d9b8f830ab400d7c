"""Which descriptors of this process are open, to show that none is left; and how it is to have none free.

Compared by what they are, never by how many there are: the garbage collector may at any moment close those
that tests before this one have left in cycles.
"""

import gc
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def open_descriptors() -> frozenset[tuple[str, str]]:
    """Each one's number and what it leads to; sockets and pipes by inode.

    What was opened since is `open_descriptors() - before`.
    """
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the listing's own
            found.add((number, os.readlink(f"/proc/self/fd/{number}")))
    return frozenset(found)


@contextmanager
def left(count: int) -> Iterator[None]:
    """Meanwhile this process can open at most so many more.

    What tests before this one have left in cycles is closed before, and nothing is meanwhile: it would make
    room.
    """
    gc.collect()
    gc.disable()
    lowest_free = os.dup(0)
    os.close(lowest_free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        gc.enable()
