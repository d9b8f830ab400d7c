"""The wire protocol: every message survives the trip, other versions and other bytes are told apart."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.catalog import Health
from cluster.certs import Leaf
from cluster.codec import encode
from cluster.errors import Problem, WireError
from cluster.messages import (
    WIRE_VERSION,
    Ack,
    Answer,
    Close,
    Drain,
    Family,
    Hello,
    Keys,
    Metrics,
    Nack,
    NodeStatus,
    Offer,
    Probes,
    Query,
    Refusal,
    Register,
    Registered,
    Sample,
    Sign,
    Signed,
    Verdicts,
    WorkerStatus,
    pack,
    unpack,
)
from cluster.probes import Probe, ProbeKind, Verdict
from cluster.reasons import End
from cluster.snapshot import SnapshotId

ID = SnapshotId(epoch="e1", generation=7, digest="d" * 64)
LEAF = Leaf(uri="spiffe://x.consul", chain_pem=b"C", key_pem=b"K", not_before=1.0, not_after=2.5)
PROBLEM = Problem(message="no", path="mesh")

PROBE = Probe(
    check="n1/c",
    kind=ProbeKind.HTTP,
    target="http://h/",
    interval_seconds=10,
    timeout_seconds=1.5,
    headers=(("a", "b"),),
)

MESSAGES = [
    Probes(probes=(PROBE,)),
    Verdicts(verdicts=(Verdict(check="n1/c", status=Health.WARNING, output="so"),)),
    Hello(sender="n1", incarnation="i", software="1.0", have=ID, held={"mesh": "abc"}),
    Hello(sender="n1", incarnation="i", software="1.0"),
    Offer(id=ID, manifest={"mesh": "abc"}, sections={"mesh": b"\x00\xff"}, committed_at=1.5),
    Ack(id=ID),
    Nack(id=ID, problems=(PROBLEM,)),
    Sign(request=1, csr_pem=b"CSR", renewal=True),
    Signed(request=1, chain_pem=b"PEM"),
    Signed(request=1, error="no"),
    Keys(leaves=(LEAF,)),
    WorkerStatus(index=0, pid=1, generation=7, connections=3),
    NodeStatus(node="n1", engine="native", have=ID, workers=(WorkerStatus(index=0, pid=1),)),
    Register(definitions=({"Name": "web", "Port": 80},)),
    Registered(problems=(PROBLEM,)),
    Metrics(
        index=0,
        families=(
            Family(name="f", kind="counter", help="h", samples=(Sample("f_total", {"a": "b"}, 1),)),
        ),
    ),
    Query(request=1, what="connections", arguments={"source": "web"}, cursor="c", limit=5),
    Answer(request=1, items=({"id": "n1/0/1"},), cursor="c"),
    Close(connections=("n1/0/1",), end=End.INTENTION_REVOKED),
    Drain(grace_seconds=2.0),
    Refusal(reason="no"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_message_survives_the_trip(message):
    assert unpack(pack(message)) == message


def test_another_version_is_named():
    body = encode((WIRE_VERSION + 1, Refusal(reason="x")))
    with pytest.raises(WireError, match=f"version {WIRE_VERSION + 1}.*version {WIRE_VERSION}"):
        unpack(body)


def test_unknown_fields_are_ignored():
    assert unpack(encode((WIRE_VERSION, {"type": "Drain", "grace_seconds": 1.0, "new": []}))) == (
        Drain(grace_seconds=1.0)
    )


@pytest.mark.parametrize(
    "plain",
    [
        {},
        {"type": "Surprise"},
        {"type": "Ack"},
        {"type": "Ack", "id": 1},
        {"type": "Close", "connections": [], "end": "boredom"},
        {"type": "Drain", "grace_seconds": "soon"},
    ],
)
def test_what_is_no_message_is_told(plain):
    with pytest.raises(WireError, match="not a known message"):
        unpack(encode((WIRE_VERSION, plain)))


@pytest.mark.parametrize("envelope", [None, [], [1], {"type": "Ack"}, ["1", {}], [1, {}, 2]])
def test_what_is_no_envelope_is_told(envelope):
    with pytest.raises(WireError):
        unpack(encode(envelope))


@given(st.sampled_from(MESSAGES), st.data())
def test_changed_bytes_are_a_wire_error_or_a_message(message, data):
    body = bytearray(pack(message))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    del body[data.draw(st.integers(1, len(body))) :]
    with contextlib.suppress(WireError):
        unpack(bytes(body))


def test_a_leaf_shows_neither_its_key_nor_its_chain():
    assert "K" not in repr(LEAF).replace("Keys", "")
    assert LEAF.digest[:12] in repr(LEAF)
