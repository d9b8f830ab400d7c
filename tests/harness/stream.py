"""A stream of short connections through a local port, each with its times and its outcome."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Attempt:
    """One connection: when it started and ended, how long its first byte took, and what went wrong."""

    started: float
    ended: float
    first_byte_seconds: float
    error: str


class Stream:
    """Connections one after another in a few threads, until stopped; each wants its bytes back."""

    def __init__(self, port: int, threads: int) -> None:
        self.attempts: list[Attempt] = []
        self._port = port
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, daemon=True)  # noqa: TID251 -- stands for other processes
            for _ in range(threads)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.attempts.append(attempt(self._port))


def attempt(port: int, timeout: float = 10.0) -> Attempt:
    """Connect, send, read the echo, end in order."""
    started, error = time.monotonic(), ""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout) as sock:
            sock.sendall(b"ping")
            answer = sock.recv(4)
            first = time.monotonic() - started
            if answer != b"ping":
                error = f"got {answer!r}"
    except OSError as problem:
        first, error = time.monotonic() - started, repr(problem)
    return Attempt(started, time.monotonic(), first, error)


@contextmanager
def stream(port: int, threads: int = 3) -> Iterator[Stream]:
    found = Stream(port, threads)
    found.start()
    try:
        yield found
    finally:
        found.stop()
