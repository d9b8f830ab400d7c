"""What is going on, on standard error, while it goes on.

Belongs here: one line per step, overwritten on a terminal. Never here: results.
"""

import sys


def tell(text: str) -> None:
    """On a terminal each line takes the place of the one before; elsewhere they follow each other."""
    if sys.stderr.isatty():
        print(f"\r\x1b[2K{text}", end="", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)


def done() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[2K", end="", file=sys.stderr, flush=True)
