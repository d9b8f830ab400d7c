"""HTTP/2 load by h2load, in the words of our own generator.

Belongs here: h2load's command line, its log of answers, and whether somebody speaks HTTP/2 at all. Never
here: starting it (`measure`).
"""

import contextlib
import re
import socket
from pathlib import Path
from typing import Any

from .processes import BenchError, program
from .runs import H2_STREAMS, Run, Way

#: What a client says first, and empty settings; the answer is a frame of settings (RFC 9113 section 3.4).
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_SETTINGS = 4
_FINISHED = re.compile(r"finished in ([\d.]+)(us|ms|s), ([\d.]+) req/s")
_DONE = re.compile(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored")


def check_spoken(way: Way, who: str) -> None:
    """Raises BenchError where the preface is not answered by settings."""
    answer = b""
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", way.port), timeout=5) as sock,
    ):
        sock.sendall(_PREFACE)
        answer = sock.recv(9)
    if len(answer) < 4 or answer[3] != _SETTINGS:
        raise BenchError(f"{who} does not speak HTTP/2 here: no figure")


def command(run: Run, way: Way, seconds: float, log: Path) -> list[str]:
    answers = _answers(log)
    answers.unlink(missing_ok=True)
    return [
        program("h2load", "nghttp2-client"),
        *("--clients", str(run.connections), "--max-concurrent-streams", str(H2_STREAMS)),
        *("--duration", f"{round(seconds * 1000)}ms"),
        *("--log-file", str(answers), "--connect-to", f"127.0.0.1:{way.port}"),
        f"http://{way.host}/{run.bytes}",
    ]


def parse(out: str, log: Path) -> dict[str, Any]:
    """What `lockload` would have said, but for the CPU it took. Raises BenchError."""
    finished, done = _FINISHED.search(out), _DONE.search(out)
    if finished is None or done is None:
        raise BenchError(f"h2load said nothing of use, see {log}: {out.strip()[-200:]}")
    answers = _answers(log)
    took = sorted(int(line.rpartition("\t")[2]) for line in answers.read_text().splitlines())
    answers.unlink()
    count, _, failed, errored = (int(number) for number in done.groups())
    lost = failed + errored
    return {
        "operations": count,
        "total_operations": count,
        "bytes": 0,
        "total_bytes": 0,
        "per_second": float(finished[3]),
        "p50_us": float(took[len(took) // 2]) if took else 0.0,
        "p99_us": float(took[len(took) * 99 // 100]) if took else 0.0,
        "failures": {"no answer": lost} if lost else {},
    }


def _answers(log: Path) -> Path:
    return log.with_suffix(".h2load")
