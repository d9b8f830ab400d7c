"""One real connection through each proxy before anything is measured.

Belongs here: proof that a proxy does the work which its figures will be about. Never here: measuring.
"""

import contextlib
import json
import socket
import ssl
import subprocess

from .measure import GENERATOR
from .processes import BenchError, pause
from .runs import Run, Way, arguments
from .subjects import Subject

_PROBE = Run(key="probe", mode="echo", connections=1)
_HTTP_PROBE = Run(key="probe", mode="get", connections=1)
#: What somebody without a certificate asks: a frame of the generator's own, or a request.
_FRAME, _REQUEST = b"R\0\0\0" + (1).to_bytes(4, "big"), b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"


def check(subject: Subject) -> None:
    """Each way carries bytes unchanged; TLS ways refuse who proves nothing. Raises BenchError."""
    for kind, way in subject.ways.items():
        if kind == "http2":
            continue  # a run of it says how many answers there were
        _carries(f"{subject.name}, {kind}", _HTTP_PROBE if way.host else _PROBE, way)
        if way.credentials is not None and _lets_in_strangers(way):
            raise BenchError(f"{subject.name} lets a client without a certificate in")


def _carries(what: str, probe: Run, way: Way) -> None:
    command = [str(GENERATOR), *arguments(probe, way, seconds=0.05, verify=bool(way.credentials))]
    said = {}
    for _ in range(20):  # a service may take a moment to be there after its gateway listens
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        said = json.loads(done.stdout or "{}")
        if said.get("operations") and not said.get("failures"):
            return
        pause(0.25)
    raise BenchError(f"{what} does not carry bytes unchanged: {said or done.stderr.strip()}")


def _lets_in_strangers(way: Way) -> bool:
    """Whether who has no certificate gets an answer. In TLS 1.3 a refusal is heard when reading."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", way.port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=way.server_name) as sock,
    ):
        sock.sendall(_REQUEST if way.host else _FRAME)
        answer = sock.recv(64)
        return bool(answer) and not answer.startswith(b"HTTP/1.1 400")
    return False
