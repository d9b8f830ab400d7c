"""Large sections in shards: where an item is, what a change costs, and what is refused."""

import hashlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.certs import Root, TrustBundle
from cluster.codec import encode
from cluster.errors import SnapshotRejected
from cluster.intentions import Action, Intention, in_order
from cluster.names import ServiceName
from cluster.routes import Endpoint, MeshRoute
from cluster.sections import (
    Encoded,
    Whole,
    decode_snapshot,
    encode_snapshot,
    encode_whole,
    same_policy,
)
from cluster.shards import MOST_WHOLE, SHARDS, Sharded, cut, joined, shard_of, strays
from cluster.snapshot import (
    EndpointSet,
    Policy,
    Snapshot,
    Trust,
)

TRUST = Trust(
    datacenter="dc1",
    bundle=TrustBundle(trust_domain="td", roots=(Root(id="r", pem=b"P", active=True),)),
)
MANY = MOST_WHOLE + 100
NAMES = st.lists(st.text("abc*-", min_size=1, max_size=4), unique=True, max_size=40)


def name_of(text):
    return text


def route(number):
    name = f"svc{number}"
    return MeshRoute(
        server_name=f"{name}.sni", service=ServiceName(name=name), endpoints=f"connect:{name}"
    )


def made(number, port=1):
    found = Endpoint(address="10.0.0.1", port=port)
    return EndpointSet(name=f"connect:svc{number}", endpoints=(found,))


def rule(number, action=Action.ALLOW):
    return Intention(
        source=ServiceName(name="web"),
        destination=ServiceName(name=f"svc{number}"),
        action=action,
    )


def large(many=MANY, *, port=1, action=Action.ALLOW):
    """A mesh of many services; the first of them has this port and this intention."""
    return Snapshot(
        trust=TRUST,
        mesh=tuple(route(n) for n in range(many)),
        endpoints=(made(0, port), *(made(n) for n in range(1, many))),
        policy=Policy(intentions=(rule(0, action), *(rule(n) for n in range(1, many)))),
    )


@pytest.mark.parametrize(("key", "number"), [("", 0), ("web", 17), ("connect:db", 47), ("ü", 21)])
def test_a_shard_never_moves(key, number):
    """Coordinator and node may be different programs: this is part of the wire."""
    assert shard_of(key) == number


@given(NAMES)
def test_cutting_loses_nothing_and_puts_each_where_it_belongs(names):
    found = cut(names, name_of)
    assert sorted(found) == sorted(names)
    assert tuple(found) == tuple(
        name for number in sorted(found.parts) for name in found.parts[number]
    )
    assert all(part and not strays(number, part, name_of) for number, part in found.parts.items())
    assert cut(names, name_of, found) is found


@given(NAMES, NAMES)
def test_shards_without_a_change_are_the_same_objects(before, after):
    old = cut(before, name_of)
    new = cut(after, name_of, old)
    assert new == cut(after, name_of)
    for number, part in new.parts.items():
        assert (part is old.parts.get(number)) == (part == old.parts.get(number))


def test_a_shard_that_is_gone_makes_another_tuple():
    parts = {1: ("a",), 2: ("b",)}
    assert joined({1: parts[1]}, Sharded.of(parts)) == ("a",)


def test_few_items_travel_whole_and_many_in_shards():
    few, many = encode_snapshot(large(MOST_WHOLE)), encode_snapshot(large())
    assert set(few.manifest) == set(Snapshot.__struct_fields__)
    shards = {f"{section}/{n:02}" for section in ("mesh", "endpoints", "policy") for n in range(64)}
    assert set(many.manifest) == {"trust", "listeners", "terminating", "ingress", "policy"} | shards
    assert SHARDS == 64


@pytest.mark.parametrize("many", [3, MOST_WHOLE, MANY])
def test_all_of_it_arrives(many):
    encoded = encode_snapshot(large(many))
    found = decode_snapshot(encoded, encoded.digest)
    assert encode_snapshot(found) == encoded
    assert sorted(found.endpoints, key=str) == sorted(large(many).endpoints, key=str)
    assert in_order(found.policy.intentions) == in_order(large(many).policy.intentions)


def test_a_change_costs_its_shards():
    before, after = encode_snapshot(large()), encode_snapshot(large(port=2, action=Action.DENY))
    changed = after.without(before.manifest)
    assert set(changed) == {
        f"endpoints/{shard_of('connect:svc0'):02}",
        f"policy/{shard_of('svc0'):02}",
    }
    assert not same_policy(before.manifest, after.manifest)
    assert same_policy(before.manifest, encode_snapshot(large(port=2)).manifest)


CHANGES = st.lists(
    st.tuples(
        st.sampled_from((3, MOST_WHOLE, MOST_WHOLE + 1, MANY)),
        st.integers(1, 3),
        st.sampled_from(Action),
    ),
    min_size=1,
    max_size=5,
)


@given(CHANGES)
@settings(max_examples=15, deadline=None)
def test_by_deltas_comes_out_what_comes_out_from_the_whole(changes):
    """Through every size: sections become shards, and whole again."""
    sent: Whole | None = None
    held: Whole | None = None
    for many, port, action in changes:
        snapshot = large(many, port=port, action=action)
        sent = encode_whole(snapshot, sent)
        assert sent.encoded == encode_snapshot(snapshot)
        found = decode_snapshot(sent.encoded, sent.encoded.digest, held)
        assert found == decode_snapshot(sent.encoded, sent.encoded.digest)
        if held is not None:
            _is_shared(held.snapshot.mesh, found.mesh)
        held = Whole.of(sent.encoded, found)


def _is_shared(before, after):
    if isinstance(before, Sharded) and isinstance(after, Sharded):
        for number, part in after.parts.items():
            assert (part is before.parts.get(number)) == (part == before.parts.get(number))


def refusal(encoded):
    with pytest.raises(SnapshotRejected) as caught:
        decode_snapshot(encoded, encoded.digest)
    return str(caught.value)


def resealed(encoded, **pieces):
    """The same with other sections, honestly digested; None takes one out. `_` stands for `/`."""
    sections = {**encoded.sections}
    for name, piece in pieces.items():
        name = name.replace("_", "/")
        sections.pop(name, None)
        if piece is not None:
            sections[name] = encode(piece)
    manifest = {name: hashlib.sha256(body).hexdigest() for name, body in sections.items()}
    return Encoded(manifest=manifest, sections=sections)


LARGE = encode_snapshot(large())


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ({"quotas": ()}, "quotas: this version does not know such a section"),
        ({"mesh_64": ()}, "mesh/64: this version does not know such a section"),
        ({"mesh_7": ()}, "mesh/7: this version does not know such a section"),
        ({"trust_00": ()}, "trust/00: this version does not know such a section"),
        ({"mesh": ()}, "mesh: the section is there whole and in shards"),
        ({"policy": None}, "policy: the section is missing"),
        ({"policy": Policy(intentions=(rule(0),))}, "policy: the intentions are there whole and"),
        ({"policy_06": (rule(0),)}, "policy/06: 'svc0' does not belong in this shard"),
    ],
)
def test_what_may_not_be_is_refused(pieces, reason):
    assert reason in refusal(resealed(LARGE, **pieces))


def test_a_shard_that_is_announced_has_to_come():
    sections = {name: body for name, body in LARGE.sections.items() if name != "policy/06"}
    told = refusal(Encoded(manifest=LARGE.manifest, sections=sections))
    assert told == "policy/06: the section is missing"


def test_a_large_snapshot_of_version_1_on_a_disk_is_read():
    """It has whole sections, however many items there are."""
    snapshot = large()
    fields = {name: getattr(snapshot, name) for name in Snapshot.__struct_fields__}
    old = resealed(Encoded(manifest={}, sections={}), **fields)
    assert set(old.manifest) == set(fields)
    found = decode_snapshot(old, old.digest)
    assert found == snapshot
    newer = encode_snapshot(large(port=2))
    after = decode_snapshot(newer, newer.digest, Whole.of(old, found))
    assert msgspec.structs.replace(after) == decode_snapshot(newer, newer.digest)
