"""Snapshots: digests, the round trip, and one test for each way not to be whole."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.bus import BusLimits
from cluster.certs import Root, TrustBundle
from cluster.errors import SnapshotRejected
from cluster.ingress import IngressGateway, IngressListener, IngressService, IngressTarget
from cluster.intentions import Action, Intention
from cluster.messages import Offer, pack
from cluster.names import ServiceName
from cluster.routes import (
    Endpoint,
    GatewayKind,
    Listener,
    MeshRoute,
    OriginationTls,
    TerminatingGateway,
    TerminatingRoute,
)
from cluster.sections import (
    MAX_SECTIONS_BYTES,
    SECTIONS,
    Encoded,
    Whole,
    decode_snapshot,
    encode_snapshot,
    encode_whole,
    size_problems,
)
from cluster.snapshot import (
    EndpointSet,
    Policy,
    Snapshot,
    SnapshotId,
    Trust,
    linked_services,
)
from cluster.wholeness import problems

TD = "1234.consul"
ROOT = Root(id="r1", pem=b"PEM", active=True)


def _listener(gateway: str, *, node="n1", address="", port=8443) -> Listener:
    return Listener(
        node=node, gateway=gateway, kind=GatewayKind.TERMINATING, address=address, port=port
    )


def _route(service: str, *, endpoints="service:db", names=("db.sni",)) -> TerminatingRoute:
    return TerminatingRoute(
        service=ServiceName(name=service),
        datacenter="dc1",
        server_names=names,
        endpoints=endpoints,
        tls=OriginationTls(ca_file="/ca.pem"),
    )


WHOLE = Snapshot(
    trust=Trust(datacenter="dc1", bundle=TrustBundle(trust_domain=TD, roots=(ROOT,))),
    listeners=(_listener("egress"), _listener("egress", node="n2")),
    terminating=(TerminatingGateway(name="egress", routes=(_route("db"),)),),
    mesh=(
        MeshRoute(server_name="web.sni", service=ServiceName(name="web"), endpoints="connect:web"),
    ),
    endpoints=(
        EndpointSet(name="connect:web", endpoints=(Endpoint(address="10.0.0.2", port=21000),)),
        EndpointSet(name="service:db", endpoints=(Endpoint(address="db.example", port=5432),)),
    ),
    policy=Policy(
        intentions=(
            Intention(
                source=ServiceName(name="web"),
                destination=ServiceName(name="db"),
                action=Action.ALLOW,
            ),
        )
    ),
)


def test_a_whole_snapshot_has_no_problems_and_survives_the_trip():
    assert problems(WHOLE) == ()
    encoded = encode_snapshot(WHOLE)
    assert decode_snapshot(encoded, encoded.digest) == WHOLE


def test_equal_snapshots_have_equal_digests_and_a_change_shows_in_its_section_only():
    before = encode_snapshot(WHOLE)
    assert encode_snapshot(msgspec.structs.replace(WHOLE)) == before
    after = encode_snapshot(msgspec.structs.replace(WHOLE, policy=Policy(default_allow=True)))
    assert after.digest != before.digest
    changed = {name for name in SECTIONS if before.manifest[name] != after.manifest[name]}
    assert changed == {"policy"}
    assert set(after.without(before.manifest)) == {"policy"}
    assert set(after.without({})) == set(SECTIONS)
    assert after.without(after.manifest) == {}


def test_an_id_prints_short():
    text = str(SnapshotId(epoch="e1", generation=7, digest="0123456789abcdef"))
    assert text == "7 (0123456789ab, epoch e1)"


def _rejection(encoded: Encoded, digest: str) -> str:
    with pytest.raises(SnapshotRejected) as caught:
        decode_snapshot(encoded, digest)
    return str(caught.value)


ENCODED = encode_snapshot(WHOLE)


@given(st.sampled_from(SECTIONS), st.data())
def test_changed_bytes_are_rejected(section, data):
    body = bytearray(ENCODED.sections[section])
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= data.draw(st.integers(1, 255))
    changed = Encoded(
        manifest=ENCODED.manifest, sections={**ENCODED.sections, section: bytes(body)}
    )
    assert f"{section}: the bytes do not have" in _rejection(changed, ENCODED.digest)


def test_another_digest_is_rejected():
    assert "the digest is" in _rejection(ENCODED, "0" * 64)


def test_a_changed_manifest_is_rejected():
    changed = Encoded(
        manifest={**ENCODED.manifest, "mesh": "0" * 64}, sections=dict(ENCODED.sections)
    )
    told = _rejection(changed, ENCODED.digest)
    assert "the digest is" in told
    assert "mesh: the bytes do not have" in told


def test_an_ingress_gateway_refers_to_what_is_there_and_has_each_port_once():
    target = IngressTarget(
        service=ServiceName(name="db"),
        datacenter="dc1",
        server_name="db.sni",
        endpoints="connect:db",
        plaintext="service:db",
    )
    service = IngressService(service=ServiceName(name="db"), targets=(target,))
    listener = IngressListener(port=1, protocol="tcp", services=(service,))
    front = IngressGateway(name="front", listeners=(listener, listener))
    found = problems(msgspec.structs.replace(WHOLE, ingress=(front, front)))
    assert {str(one) for one in found} == {
        "ingress.front: it refers to endpoints 'connect:db', which are not there",
        "ingress: 'front' is there 2 times",
        "ingress.front: '1' is there 2 times",
    }


def test_a_missing_section_is_rejected():
    sections = {name: body for name, body in ENCODED.sections.items() if name != "trust"}
    changed = Encoded(manifest=ENCODED.manifest, sections=sections)
    assert "trust: the section is missing" in _rejection(changed, ENCODED.digest)


def test_a_snapshot_of_exactly_the_limit_may_travel_and_no_larger_one():
    size = sum(len(body) for body in ENCODED.sections.values())
    assert size_problems(ENCODED, max_bytes=size) == ()
    (problem,) = size_problems(ENCODED, max_bytes=size - 1)
    assert f"{size} bytes, {size - 1} are the limit" in problem.message


def test_what_is_too_large_is_rejected_with_its_size():
    body = bytes(MAX_SECTIONS_BYTES + 1)
    encoded = Encoded(manifest=ENCODED.manifest, sections={"policy": body})
    told = _rejection(encoded, ENCODED.digest)
    assert f"{len(body)} bytes, {MAX_SECTIONS_BYTES} are the limit" in told


def test_the_largest_snapshot_fits_into_a_message():
    room = BusLimits().max_message_bytes
    sections = dict.fromkeys(SECTIONS, b"") | {"policy": bytes(MAX_SECTIONS_BYTES)}
    id_ = SnapshotId(epoch="e" * 16, generation=2**63, digest=ENCODED.digest)
    assert len(pack(Offer(id=id_, manifest=ENCODED.manifest, sections=sections))) <= room


def test_honest_bytes_of_another_type_are_rejected():
    forged = encode_snapshot(WHOLE)
    swapped = {**forged.sections, "mesh": forged.sections["trust"]}
    manifest = {**forged.manifest, "mesh": forged.manifest["trust"]}
    changed = Encoded(manifest=manifest, sections=swapped)
    assert "not a" in _rejection(changed, changed.digest)


def test_a_snapshot_that_is_not_whole_is_rejected():
    broken = encode_snapshot(msgspec.structs.replace(WHOLE, endpoints=()))
    assert "connect:web" in _rejection(broken, broken.digest)


def _only_problem(**fields) -> str:
    (problem,) = problems(msgspec.structs.replace(WHOLE, **fields))
    return str(problem)


@pytest.mark.parametrize(
    ("first", "second", "place"),
    [
        ("", "", "every address"),
        ("10.0.0.1", "10.0.0.1", "10.0.0.1"),
        ("", "10.0.0.1", "every address"),
        ("10.0.0.1", "0.0.0.0", "10.0.0.1"),
        ("::", "10.0.0.1", "::"),
    ],
)
def test_two_listeners_on_one_port_of_one_node(first, second, place):
    told = _only_problem(
        listeners=(_listener("egress", address=first), _listener("other", address=second))
    )
    assert told == (
        "listeners: terminating-gateway 'egress' and terminating-gateway 'other' both want port "
        f"8443 of {place} on node 'n1'"
    )


@pytest.mark.parametrize(
    "second",
    [
        _listener("other", node="n2", address="10.0.0.1"),
        _listener("other", port=8444, address="10.0.0.1"),
        _listener("other", address="10.0.0.2"),
    ],
)
def test_listeners_that_do_not_meet(second):
    first = _listener("egress", address="10.0.0.1")
    assert problems(msgspec.structs.replace(WHOLE, listeners=(first, second))) == ()


def test_a_terminating_route_without_its_endpoints():
    told = _only_problem(
        terminating=(TerminatingGateway(name="egress", routes=(_route("db", endpoints="x"),)),)
    )
    assert told == "terminating.egress: service db refers to endpoints 'x', which are not there"


def test_a_mesh_route_without_its_endpoints():
    route = msgspec.structs.replace(WHOLE.mesh[0], endpoints="x")
    assert _only_problem(mesh=(route,)) == (
        "mesh: web.sni refers to endpoints 'x', which are not there"
    )


def test_one_name_for_two_routes_of_a_gateway():
    routes = (_route("db"), _route("db2"))
    told = _only_problem(terminating=(TerminatingGateway(name="egress", routes=routes),))
    assert told == "terminating.egress: 'db.sni' is there 2 times"


def test_one_name_in_two_gateways_is_fine():
    gateways = tuple(
        TerminatingGateway(name=name, routes=(_route("db"),)) for name in ("egress", "other")
    )
    assert problems(msgspec.structs.replace(WHOLE, terminating=gateways)) == ()


def test_one_name_for_two_mesh_routes():
    assert _only_problem(mesh=WHOLE.mesh * 2) == "mesh: 'web.sni' is there 2 times"


def test_one_gateway_twice():
    gateway = TerminatingGateway(name="egress", routes=())
    told = _only_problem(terminating=(gateway, gateway))
    assert told == "terminating: 'egress' is there 2 times"


def test_one_endpoint_set_twice():
    told = _only_problem(endpoints=(*WHOLE.endpoints, WHOLE.endpoints[0]))
    assert told == "endpoints: 'connect:web' is there 2 times"


def _trust(*roots: Root) -> Trust:
    return Trust(datacenter="dc1", bundle=TrustBundle(trust_domain=TD, roots=roots))


def test_no_root():
    assert _only_problem(trust=_trust()) == "trust: there is no CA root"


def test_no_active_root_or_two():
    passive = msgspec.structs.replace(ROOT, active=False)
    for roots in ((passive,), (ROOT, ROOT)):
        assert _only_problem(trust=_trust(*roots)) == "trust: exactly one CA root must be active"


def test_the_bundles_digest_depends_on_roots_and_domain():
    bundles = [
        TrustBundle(trust_domain=TD, roots=(ROOT,)),
        TrustBundle(trust_domain="other.consul", roots=(ROOT,)),
        TrustBundle(trust_domain=TD, roots=()),
    ]
    assert len({bundle.digest for bundle in bundles}) == 3


def test_whose_leaves_a_node_must_hold():
    gateways = (
        TerminatingGateway(name="egress", routes=(_route("db"), _route("*", names=("x",)))),
        TerminatingGateway(name="other", routes=(_route("mail", names=("mail.sni",)),)),
    )
    snapshot = msgspec.structs.replace(WHOLE, terminating=gateways)
    assert linked_services(snapshot, frozenset({"egress"})) == {ServiceName(name="db")}
    assert linked_services(snapshot, frozenset()) == frozenset()


def test_with_one_before_the_bytes_are_the_same_and_equal_sections_are_not_encoded_again():
    before = Whole.of(encode_snapshot(WHOLE), WHOLE)
    changed = msgspec.structs.replace(WHOLE, policy=Policy(default_allow=True))
    again = encode_whole(changed, before).encoded
    assert again == encode_snapshot(changed)
    assert again.sections["mesh"] is before.encoded.sections["mesh"]


def test_with_one_before_unchanged_sections_are_the_very_same_objects():
    encoded = encode_snapshot(WHOLE)
    before = Whole.of(encoded, decode_snapshot(encoded, encoded.digest))
    changed = encode_snapshot(msgspec.structs.replace(WHOLE, policy=Policy(default_allow=True)))
    found = decode_snapshot(changed, changed.digest, before)
    assert found == decode_snapshot(changed, changed.digest)
    assert found.mesh is before.snapshot.mesh
    assert found.policy != before.snapshot.policy
