"""A plain TCP upstream in the test's own process: answers what it got, and keeps a record."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Echo(socketserver.ThreadingTCPServer):
    """`received` holds the bytes of each connection, in order of arrival."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[bytearray] = []
        self.lock = threading.Lock()

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(socketserver.BaseRequestHandler):
    server: Echo

    def handle(self) -> None:
        record = bytearray()
        with self.server.lock:
            self.server.received.append(record)
        try:
            while chunk := self.request.recv(65536):
                record += chunk
                self.request.sendall(chunk)
            self.request.shutdown(socket.SHUT_WR)
        except OSError:
            return


@contextmanager
def echo() -> Iterator[Echo]:
    with Echo() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)  # noqa: TID251 -- the server stands for another process
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
