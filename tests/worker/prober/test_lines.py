"""Lines between node and prober: whole ones only, and none that is too long."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.catalog import Health
from cluster.probes import MAX_OUTPUT_BYTES, Probe, ProbeKind, Verdict, shortened
from worker.prober.lines import (
    MAX_VERDICT_BYTES,
    Lines,
    probes_line,
    read_probes,
    read_verdict,
    verdict_line,
)


@given(st.lists(st.binary(max_size=9).filter(lambda b: b"\n" not in b)), st.integers(1, 7))
def test_lines_come_whole_however_they_are_cut(lines, step):
    data, reader, found = b"".join(line + b"\n" for line in lines), Lines(9), []
    for at in range(0, len(data), step):
        found += reader.feed(data[at : at + step])
    assert found == lines


@pytest.mark.parametrize("data", [b"x" * 11, b"x" * 11 + b"\n", b"a\n" + b"x" * 11 + b"\nb\n"])
def test_a_line_that_is_too_long_is_refused(data):
    with pytest.raises(ValueError, match="more than 10 bytes"):
        Lines(10).feed(data)


@given(st.text(max_size=100).map(lambda text: text * 50))
def test_every_verdict_fits_and_comes_back(output):
    verdict = Verdict(check="node/check", status=Health.WARNING, output=shortened(output))
    line = verdict_line(verdict)
    assert line.count(b"\n") == 1
    assert len(line) <= MAX_VERDICT_BYTES
    assert read_verdict(line[:-1]) == verdict


def test_the_most_that_a_verdict_can_take():
    verdict = Verdict(check="n" * 500, status=Health.CRITICAL, output="\x01" * MAX_OUTPUT_BYTES)
    assert len(verdict_line(verdict)) <= MAX_VERDICT_BYTES


def test_probes_come_back():
    probes = tuple(
        Probe(check=f"n/{kind}", kind=kind, target="h:1", interval_seconds=1, timeout_seconds=2.5)
        for kind in ProbeKind
    )
    assert read_probes(probes_line(probes)[:-1]) == probes


@pytest.mark.parametrize("line", [b"", b"{}", b"[1]", b'{"check":"a","status":"well"}'])
def test_what_is_no_verdict(line):
    with pytest.raises(msgspec.DecodeError):
        read_verdict(line)
