"""What is going on, on standard error, while it goes on.

Belongs here: one line per step, overwritten on a terminal, and the line that it broke off with. Never
here: results.
"""

import sys
from collections.abc import Callable

from .processes import BenchError


def tell(text: str) -> None:
    """On a terminal each line takes the place of the one before; elsewhere they follow each other."""
    if sys.stderr.isatty():
        print(f"\r\x1b[2K{text}", end="", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)


def done() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[2K", end="", file=sys.stderr, flush=True)


def to_the_end(name: str, run: Callable[[], int]) -> int:
    """The exit status of `run()`; what breaks it off is one line, and 1, or 130 for Ctrl-C."""
    try:
        return run()
    except BenchError as error:
        done()
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        done()
        print(f"{name}: interrupted; everything that was started has ended", file=sys.stderr)
        return 130
