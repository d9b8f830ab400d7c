"""What holds of every chain, whatever the entries: it ends, it is whole, and its shares make a hundred."""

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.chain import (
    Chain,
    ChainError,
    Overrides,
    Request,
    Splitter,
    compile_chain,
    entries_of,
)
from cluster.chain.render import rendered
from cluster.chain.split import MAX_DEPTH, MAX_SPLITS, rounded
from cluster.chain.values import key, next_nodes, targets_of

NAMES = st.sampled_from("abcde")
SUBSETS = st.sampled_from(["", "", "v1", "v2"])
PROTOCOLS = st.sampled_from(["http", "http", "http", "tcp"])
PLACES = st.fixed_dictionaries(
    {}, optional={"Service": NAMES, "ServiceSubset": SUBSETS, "Datacenter": st.just("dc2")}
)
PEERS = st.fixed_dictionaries({"Peer": st.just("east")}, optional={"Service": NAMES})


@st.composite
def shares(draw):
    cuts = sorted(draw(st.lists(st.integers(0, 10_000), max_size=4)))
    edges = [0, *cuts, 10_000]
    weights = [(b - a) / 100 for a, b in itertools.pairwise(edges)]
    return [
        {"Weight": weight, "Service": draw(NAMES), "ServiceSubset": draw(SUBSETS)}
        for weight in weights
    ]


FAILOVER = st.one_of(
    PLACES, st.fixed_dictionaries({"Targets": st.lists(PLACES | PEERS, max_size=3)})
)
RESOLVERS = st.fixed_dictionaries(
    {"Subsets": st.just({"v1": {"Filter": "x"}, "v2": {}})},
    optional={
        "DefaultSubset": SUBSETS,
        "Redirect": PLACES | PEERS,
        "Failover": st.dictionaries(st.sampled_from(["*", "v1"]), FAILOVER),
    },
)


@st.composite
def stores(draw):
    found = []
    for name in "abcde":
        if draw(st.booleans()):
            found.append(("service-defaults", name, {"Protocol": draw(PROTOCOLS)}))
        if draw(st.booleans()):
            found.append(("service-splitter", name, {"Splits": draw(shares())}))
        if draw(st.booleans()):
            found.append(("service-resolver", name, draw(RESOLVERS)))
        if draw(st.booleans()):
            destinations = st.fixed_dictionaries(
                {}, optional={"Service": NAMES, "ServiceSubset": SUBSETS}
            )
            routes = [{"Destination": one} for one in draw(st.lists(destinations, max_size=3))]
            found.append(("service-router", name, {"Routes": routes}))
    found.append(("proxy-defaults", "global", {"Config": {"protocol": "http"}}))
    return entries_of({"Kind": kind, "Name": name, **body} for kind, name, body in found)


def compiled(entries, overrides=None):
    request = Request(
        service="a",
        datacenter="dc1",
        trust_domain="td",
        entries=entries,
        overrides=overrides or Overrides(),
    )
    return compile_chain(request)


def outcome(entries, overrides=None):
    """The chain, or why there is none."""
    try:
        return compiled(entries, overrides)
    except ChainError as error:
        return str(error)


@given(stores(), st.sampled_from([Overrides(), Overrides(protocol="tcp")]))
def test_a_chain_is_whole_or_refused_with_a_sentence(entries, overrides):
    chain = outcome(entries, overrides)
    if isinstance(chain, str):
        assert chain
        return
    assert chain.start_node in chain.nodes
    reached, named = {chain.start_node}, set()
    for name, node in chain.nodes.items():
        assert key(node) == name
        reached |= set(next_nodes(node))
        named |= set(targets_of(node))
        if isinstance(node, Splitter):
            assert all(split.next_node.startswith("resolver:") for split in node.splits)
            assert sum(s.weight for s in node.splits) == pytest.approx(
                100, abs=0.005 * len(node.splits) * MAX_DEPTH
            )
    assert reached == chain.nodes.keys()
    assert named == chain.targets.keys()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(chain), type=Chain) == chain
    assert rendered(chain)["StartNode"] in rendered(chain)["Nodes"]


@given(stores())
def test_the_same_entries_make_the_same_chain(entries):
    assert outcome(entries) == outcome(entries)


@given(st.integers(0, 10_000_000))
def test_weights_round_half_up(thousandths):
    hundredths, rest = divmod(thousandths, 10)
    assert rounded(thousandths / 1000) == (hundredths + (rest >= 5)) / 100


def test_nesting_has_an_end():
    def splitters(count):
        splits = [
            {"Kind": "service-splitter", "Name": f"s{i}", "Splits": [to(i + 1)]}
            for i in range(count)
        ]
        splits[0]["Name"] = "a"
        return entries_of([*splits, HTTP])

    assert len(compiled(splitters(MAX_DEPTH)).nodes) == 2
    with pytest.raises(ChainError, match=f"more than {MAX_DEPTH} deep"):
        compiled(splitters(MAX_DEPTH + 1))


def test_shares_have_an_end():
    """Each level splits to both services of the next, so shares double."""
    levels = [
        {"Kind": "service-splitter", "Name": f"{side}{i}", "Splits": [to(i + 1), to(i + 1, "t")]}
        for i in range(20)
        for side in "st"
    ]
    levels.append({"Kind": "service-splitter", "Name": "a", "Splits": [to(0)]})
    with pytest.raises(ChainError, match=f"more than {MAX_SPLITS} shares"):
        compiled(entries_of([*levels, HTTP]))


def test_long_redirects_are_no_matter():
    hops = [
        {"Kind": "service-resolver", "Name": f"r{i}", "Redirect": {"Service": f"r{i + 1}"}}
        for i in range(5000)
    ]
    hops.append({"Kind": "service-resolver", "Name": "a", "Redirect": {"Service": "r0"}})
    assert list(compiled(entries_of(hops)).targets) == ["r5000.default.default.dc1"]


@pytest.mark.parametrize("missing", ["service", "datacenter", "trust_domain"])
def test_a_request_says_everything(missing):
    given = {"service": "a", "datacenter": "dc1", "trust_domain": "td", missing: ""}
    with pytest.raises(ValueError, match=missing):
        Request(entries=entries_of([]), **given)


def test_the_hash_tells_overrides_apart():
    chains = [
        compiled(entries_of([]), Overrides(mesh_gateway=mode)).customization_hash
        for mode in ("local", "remote", "")
    ]
    assert len(set(chains)) == 3
    assert [len(one) for one in chains] == [8, 8, 0]


HTTP = {"Kind": "proxy-defaults", "Name": "global", "Config": {"protocol": "http"}}


def to(index, side="s"):
    return {"Weight": 50 if side == "t" else 100, "Service": f"{side}{index}"}
