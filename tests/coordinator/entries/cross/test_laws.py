"""Looking only at what a change can reach finds the same as looking at everything."""

from dataclasses import dataclass
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from coordinator.entries.cross import Index, cross_problems, judge


@dataclass
class Entry:
    body: dict[str, Any]


NAMES = st.sampled_from("abcd")
PLACE = st.fixed_dictionaries({"Service": NAMES}, optional={"ServiceSubset": st.just("v1")})
PROTOCOL = st.sampled_from(["tcp", "http"])


def kind(name, **fields):
    return st.fixed_dictionaries({"Kind": st.just(name), "Name": NAMES, **fields})


PERMISSIONS = st.lists(st.just({"Action": "allow"}), max_size=1)
SOURCES = st.lists(
    st.fixed_dictionaries({"Name": NAMES, "Permissions": PERMISSIONS}), min_size=1, max_size=2
)
LISTENERS = st.lists(
    st.fixed_dictionaries(
        {
            "Protocol": PROTOCOL,
            "Services": st.lists(st.fixed_dictionaries({"Name": NAMES}), max_size=2),
        }
    ),
    max_size=2,
)
FAILOVER = st.just({}) | PLACE.map(lambda place: {"*": place})
JWT = st.fixed_dictionaries({"Providers": st.lists(st.fixed_dictionaries({"Name": NAMES}))})
BODIES = st.one_of(
    kind("service-defaults", Protocol=PROTOCOL),
    kind("service-router", Routes=st.lists(st.fixed_dictionaries({"Destination": PLACE}))),
    kind(
        "service-splitter",
        Splits=st.lists(PLACE.map(lambda place: {"Weight": 50, **place}), max_size=2),
    ),
    kind("service-resolver", Redirect=st.none() | PLACE),
    kind(
        "service-resolver",
        Subsets=st.just({"v1": {}}),
        Failover=st.just({}) | PLACE.map(lambda place: {"*": place}),
    ),
    kind("service-intentions", Sources=SOURCES, JWT=JWT),
    kind("ingress-gateway", Listeners=LISTENERS),
    kind("terminating-gateway"),
    kind("jwt-provider"),
    PROTOCOL.map(
        lambda protocol: {
            "Kind": "proxy-defaults",
            "Name": "global",
            "Config": {"protocol": protocol},
        }
    ),
)
STORES = st.lists(BODIES, max_size=12).map(
    lambda bodies: {(body["Kind"], body["Name"]): body for body in bodies}
)
CHANGES = st.lists(st.tuples(BODIES, st.booleans()), min_size=1, max_size=3).map(
    lambda found: {
        (body["Kind"], body["Name"]): body if is_written else None for body, is_written in found
    }
)


@given(STORES, CHANGES)
def test_a_change_is_blamed_for_what_it_breaks_and_for_all_of_it(store, changes):
    after = {key: body for key, body in {**store, **changes}.items() if body is not None}
    broken = problems(after) - problems(store)
    found = set(judge(Index(store.values()), changes))
    gateways = tuple(f"ingress-gateway/{name}:" for kind, name in changes if "ingress" in kind)
    assert broken <= found
    assert all(problem.path.startswith(gateways) for problem in found - broken)


def problems(store):
    return set(cross_problems(Entry(body) for body in store.values()))
