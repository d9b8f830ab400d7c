"""The tether: a pipe whose other end is held by whoever this process may not outlive.

Belongs here: noticing that it was cut. Never here: what follows.
"""

import os

import trio


async def wait_until_cut(descriptor: int) -> None:
    """Wait for the end of file of an inherited descriptor, which stays open: workers inherit it too."""
    while True:
        await trio.lowlevel.wait_readable(descriptor)
        if not os.read(descriptor, 64):
            return
