"""The lines between node and prober. Pure. Nothing else belongs here."""

from collections.abc import Sequence

import msgspec

from cluster.probes import Probe, Verdict

#: What a verdict may take as JSON: its output, each byte escaped, and its key.
MAX_VERDICT_BYTES = 64 * 1024

_probes = msgspec.json.Decoder(tuple[Probe, ...])
_verdict = msgspec.json.Decoder(Verdict)


def probes_line(probes: Sequence[Probe]) -> bytes:
    return msgspec.json.encode(tuple(probes)) + b"\n"


def read_probes(line: bytes) -> tuple[Probe, ...]:
    """Raises `msgspec.DecodeError`."""
    return _probes.decode(line)


def verdict_line(verdict: Verdict) -> bytes:
    return msgspec.json.encode(verdict) + b"\n"


def read_verdict(line: bytes) -> Verdict:
    """Raises `msgspec.DecodeError`."""
    return _verdict.decode(line)


class Lines:
    """Bytes in, whole lines out. Raises ValueError for a line longer than `most` bytes (0: any length)."""

    def __init__(self, most: int = 0) -> None:
        self._most = most
        self._rest = bytearray()

    def feed(self, data: bytes | bytearray) -> list[bytes]:
        self._rest += data
        whole: list[bytes] = []
        if b"\n" in data:
            *whole, rest = bytes(self._rest).split(b"\n")
            self._rest = bytearray(rest)
        if self._most and max(map(len, (self._rest, *whole))) > self._most:
            raise ValueError(f"a line of more than {self._most} bytes")
        return whole
