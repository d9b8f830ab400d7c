"""A view made by deltas, one after the other, is the view made from the whole."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.intentions import Action, Intention
from cluster.names import ServiceName
from cluster.routes import Endpoint, GatewayKind, Listener, MeshRoute
from cluster.sections import Whole, decode_snapshot, encode_whole
from cluster.shards import MOST_WHOLE
from cluster.snapshot import (
    EndpointSet,
    Policy,
    Snapshot,
    SnapshotId,
    Trust,
)
from tests.fakes.pki import Pki
from worker.telemetry.metrics import Metrics
from worker.view.compile import Workshop, compile_view
from worker.view.contexts import ServerContexts

TRUST = Trust(datacenter="dc1", bundle=Pki().bundle)
LISTENER = Listener(node="n", gateway="mgw", kind=GatewayKind.MESH, address="", port=8443)
METRICS, CONTEXTS = Metrics(), ServerContexts()
LOOKED_AT = range(6)  # what changes is among these; the others make the sections large


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What of a mesh changes from one snapshot to the next."""

    others: int
    gone: frozenset[int]
    ports: tuple[int, ...]
    denied: frozenset[int]
    wild: Action | None
    default_allow: bool = False
    timeout: float
    listens: bool


WANTED = st.builds(
    Wanted,
    others=st.sampled_from((0, MOST_WHOLE - 6, MOST_WHOLE)),
    gone=st.frozensets(st.sampled_from(LOOKED_AT), max_size=3),
    ports=st.tuples(*(st.integers(1, 2) for _ in LOOKED_AT)),
    denied=st.frozensets(st.sampled_from(LOOKED_AT)),
    wild=st.sampled_from((None, *Action)),
    default_allow=st.booleans(),
    timeout=st.sampled_from((5.0, 6.0)),
    listens=st.booleans() | st.just(True),
)


def snapshot(wanted):
    numbers = [n for n in range(6 + wanted.others) if n not in wanted.gone]
    ports = dict(enumerate(wanted.ports))
    rules = [rule(f"s{n}", Action.DENY if n in wanted.denied else Action.ALLOW) for n in numbers]
    return Snapshot(
        trust=TRUST,
        listeners=(LISTENER,) if wanted.listens else (),
        mesh=tuple(
            MeshRoute(
                server_name=f"s{n}.sni",
                service=ServiceName(name=f"s{n}"),
                endpoints=f"connect:s{n}",
                connect_timeout_seconds=wanted.timeout if n == 1 else 5.0,
            )
            for n in numbers
        ),
        endpoints=tuple(
            EndpointSet(
                name=f"connect:s{n}",
                endpoints=(Endpoint(address="10.0.0.1", port=ports.get(n, 1)),),
            )
            for n in numbers
        ),
        policy=Policy(
            default_allow=wanted.default_allow,
            intentions=(*rules, *([rule("*", wanted.wild)] if wanted.wild else ())),
        ),
    )


def rule(destination, action):
    return Intention(
        source=ServiceName(name=f"caller-of-{destination}"),
        destination=ServiceName(name=destination),
        action=action,
    )


def workshop():
    return Workshop(node="n", metrics=METRICS, contexts=CONTEXTS)


def compiled(shop, shot):
    return compile_view(shop, SnapshotId(epoch="e", generation=1, digest="d"), shot, {})


def seen(view):
    """All that a connection could learn from a view."""
    callers = [ServiceName(name=f"caller-of-{name}") for name in ("*", "s0", "s1", "s5")]
    decided = {
        (str(caller), n): view.policy_of(ServiceName(name=f"s{n}")).decide(caller)
        for caller in callers
        for n in LOOKED_AT
    }
    return decided, view.known_sources, {at: routes(one) for at, one in view.gateways.items()}


def routes(gateway):
    return {
        name: (
            target.service,
            target.endpoints,
            target.ways.shares,
            target.connect_timeout_seconds,
            target.meters,
        )
        for name, target in gateway.table.exact()
    }


@given(st.lists(WANTED, min_size=2, max_size=4))
@settings(max_examples=20, deadline=None)
def test_by_deltas_and_from_the_whole_it_is_the_same_view(changes):
    shop, sent, held = workshop(), None, None
    for wanted in changes:
        sent = encode_whole(snapshot(wanted), sent)
        found = decode_snapshot(sent.encoded, sent.encoded.digest, held)
        fresh = decode_snapshot(sent.encoded, sent.encoded.digest)
        assert seen(compiled(shop, found)) == seen(compiled(workshop(), fresh))
        held = Whole.of(sent.encoded, found)


def test_what_did_not_change_is_the_very_same_object():
    shop = workshop()
    before = Wanted(
        others=MOST_WHOLE,
        gone=frozenset(),
        ports=(1,) * 6,
        denied=frozenset(),
        wild=None,
        timeout=5.0,
        listens=True,
    )
    whole = encode_whole(snapshot(before))
    whole = Whole.of(whole.encoded, decode_snapshot(whole.encoded, whole.encoded.digest))
    first = compiled(shop, whole.snapshot)

    def after(**fields):
        made = encode_whole(snapshot(msgspec.structs.replace(before, **fields)), whole).encoded
        return compiled(shop, decode_snapshot(made, made.digest, whole))

    denying = after(denied=frozenset({0}))
    assert table(denying) is table(first)
    assert denying.known_sources is first.known_sources
    assert "caller-of-*" in after(wild=Action.DENY).known_sources - first.known_sources
    stranger, nobody = ServiceName(name="x"), ServiceName(name="y")
    assert after(default_allow=True).policy_of(nobody).decide(stranger).allowed
    moved = after(ports=(2, 1, 1, 1, 1, 1))
    assert table(moved) is not table(first)
    assert table(moved).find("s1.sni") is table(first).find("s1.sni")
    assert table(moved).find("s0.sni").endpoints[0].port == 2


def table(view):
    return view.gateways["", 8443].table
