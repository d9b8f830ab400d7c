"""Which descriptors of this process are open, to show that none is left.

Compared by what they are, never by how many there are: the garbage collector may at any moment close those
that tests before this one have left in cycles.
"""

import os
from contextlib import suppress


def open_descriptors() -> frozenset[tuple[str, str]]:
    """Each one's number and what it leads to; sockets and pipes by inode.

    What was opened since is `open_descriptors() - before`.
    """
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the listing's own
            found.add((number, os.readlink(f"/proc/self/fd/{number}")))
    return frozenset(found)
