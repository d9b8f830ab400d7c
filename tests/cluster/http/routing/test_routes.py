"""Ways by the compiled chain: routes, splits, subsets, failover, and what is changed on the way."""

import math
import random
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.balance import HashBy, LoadBalancing
from cluster.chain import Request as ChainRequest
from cluster.chain import compile_chain, entries_of
from cluster.http import Request
from cluster.http.retries import Retries
from cluster.http.routing import RouteTable, ServiceRoutes
from cluster.http.routing.rewrite import rewrite_of
from cluster.ingress import Hosts, host_patterns

HTTP = {"Kind": "proxy-defaults", "Name": "global", "Config": {"protocol": "http"}}


def routes(*entries, service="web", exposed=None):
    chain = compile_chain(
        ChainRequest(
            service=service,
            datacenter="dc1",
            trust_domain="t.consul",
            entries=entries_of((HTTP, *entries)),
        )
    )
    return ServiceRoutes(chain, exposed or {})


def router(*routes):
    return {"Kind": "service-router", "Name": "web", "Routes": routes}


def splitter(*splits, name="web"):
    return {"Kind": "service-splitter", "Name": name, "Splits": splits}


def resolver(name="web", **fields):
    return {"Kind": "service-resolver", "Name": name} | fields


def to(service, **http):
    return {"Match": {"HTTP": http}, "Destination": {"Service": service}}


def way(found, seed=1, **request):
    return found.way(Request(**request), random.Random(seed))


def target(found, **request):
    return way(found, **request).targets[0].id


def test_a_service_that_nobody_configured():
    found = way(routes())
    assert [one.id for one in found.targets] == ["web.default.default.dc1"]
    assert (found.request_timeout_seconds, found.idle_timeout_seconds) == (15.0, 300.0)
    assert found.retries is None
    assert found.balancer.policy is LoadBalancing.ROUND_ROBIN
    request = Request(path="/a")
    assert found.onward(request) is request


def test_the_first_route_that_matches():
    found = routes(
        router(
            to("admin", PathPrefix="/admin", Methods=["GET"]),
            to("api", PathRegex="/v[0-9]+/.*"),
            to("beta", Header=[{"Name": "x-beta", "Present": True}]),
            to("debug", QueryParam=[{"Name": "debug", "Exact": "1"}]),
            to("upper", PathExact="/UPPER", CaseInsensitive=True),
        )
    )
    assert target(found, path="/admin/x").startswith("admin.")
    assert target(found, path="/admin", method="PUT").startswith("web.")
    assert target(found, path="/v2/x").startswith("api.")
    assert target(found, path="/v2").startswith("web.")
    assert target(found, headers=(("x-beta", ""),)).startswith("beta.")
    assert target(found, query="debug=1").startswith("debug.")
    assert target(found, path="/upper").startswith("upper.")
    assert way(found, path="*", method="OPTIONS") is None


@pytest.mark.parametrize(
    "route", [{}, {"Match": None}, {"Match": {"HTTP": None}}, {"Match": {"HTTP": {}}}]
)
def test_a_route_without_criteria_takes_all(route):
    found = routes(router(route | {"Destination": {"Service": "all"}}, to("never", PathPrefix="/")))
    assert target(found, path="/x").startswith("all.")


def test_a_route_with_an_expression_that_is_none_matches_nothing():
    found = routes(router(to("bad", PathRegex="(")))
    assert target(found, path="/(").startswith("web.")
    (problem,) = found.problems
    assert "route 1 of" in problem


@pytest.mark.parametrize(
    ("http", "text", "path", "after"),
    [
        ({"PathPrefix": "/x"}, "/", "/x/rest", "/rest"),
        ({"PathPrefix": "/x/"}, "/", "/x/rest", "/rest"),
        ({"PathPrefix": "/x"}, "/", "/x", "/"),
        ({"PathPrefix": "/x"}, "/y", "/x/rest", "/y/rest"),
        ({"PathPrefix": "/x"}, "/y/", "/x/rest", "/y/rest"),
        ({"PathPrefix": "/x"}, "/y", "/xyz", "/yyz"),
        ({"PathPrefix": "/x"}, "y", "/x/rest", "/y/rest"),
        ({"PathPrefix": "/X", "CaseInsensitive": True}, "/y", "/x/rest", "/y/rest"),
        ({"PathExact": "/x"}, "/y/z", "/x", "/y/z"),
        ({"PathPrefix": "/x"}, "/", "/x../secret", "/secret"),
        ({"PathPrefix": "/x"}, "/pub/", "/x../secret", "/secret"),
        ({"PathPrefix": "/x"}, "/é", "/x", "/\xc3\xa9"),
    ],
)
def test_a_rewrite(http, text, path, after):
    assert rewrite_of(http, text)(path) == after


def test_no_rewrite():
    assert rewrite_of({"PathPrefix": "/x"}, "") is None
    assert rewrite_of({"PathRegex": "/x"}, "/y") is None


def test_the_query_is_kept():
    route = {"Match": {"HTTP": {"PathPrefix": "/x"}}, "Destination": {"PrefixRewrite": "/"}}
    asked = Request(path="/x/a", query="b=/x")
    assert routes(router(route)).way(asked, random.Random(1)).onward(asked).target == "/a?b=/x"


@pytest.mark.parametrize(
    ("destination", "request_timeout", "idle_timeout"),
    [
        ({}, 15.0, 300.0),
        ({"RequestTimeout": "0s", "IdleTimeout": "0s"}, 15.0, 300.0),
        ({"RequestTimeout": "1m30s", "IdleTimeout": "5s"}, 90.0, 5.0),
        ({"RequestTimeout": "-1s", "IdleTimeout": "-1s"}, None, None),
    ],
)
def test_timeouts_of_a_route(destination, request_timeout, idle_timeout):
    found = way(routes(router({"Destination": destination})))
    assert found.request_timeout_seconds == request_timeout
    assert found.idle_timeout_seconds == idle_timeout


def test_the_resolvers_timeout_counts_only_where_the_chain_starts_with_it():
    slow = resolver(RequestTimeout="40s", ConnectTimeout="2s")
    assert way(routes(slow)).request_timeout_seconds == 40.0
    assert way(routes(slow)).targets[0].connect_timeout_seconds == 2.0
    assert way(routes(slow, router())).request_timeout_seconds == 15.0
    assert way(routes(slow, splitter({"Weight": 100}))).request_timeout_seconds == 15.0


@pytest.mark.parametrize("split", [(), ({"Weight": 100},)])
def test_retries_and_timeouts_of_a_route_hold_for_its_splits(split):
    destination = {"NumRetries": 2, "RetryOn": ["5xx"], "RequestTimeout": "2s"}
    more = (splitter(*split),) if split else ()
    found = way(routes(router({"Destination": destination}), *more))
    assert found.request_timeout_seconds == 2.0
    assert found.retries == Retries(limit=2, conditions=frozenset({"5xx"}))


SUBSETS = resolver(
    Subsets={"v1": {"Filter": "Service.Meta.v == 1"}, "v2": {"OnlyPassing": True}},
    Failover={"v1": {"Targets": [{"ServiceSubset": "v2"}, {"Service": "spare"}]}},
)


def test_failover_is_a_switch():
    found = way(routes(SUBSETS, router(to("web") | {"Destination": {"ServiceSubset": "v1"}})))
    first, second, third = found.targets
    assert (first.subset, second.subset, third.service.name) == ("v1", "v2", "spare")
    assert first.instances.filter == "Service.Meta.v == 1"
    assert found.target(lambda one: True) is first
    assert found.target(lambda one: one is not first) is second
    assert found.target(lambda one: one is third) is third
    assert found.target(lambda one: False) is None


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=6).filter(sum))
def test_weights_add_up(parts):
    """A hundredth of a per cent is never lost, and a weight of 0 is never drawn."""
    scaled = [part * 10_000 // sum(parts) for part in parts]
    scaled[0] += 10_000 - sum(scaled)
    splits = [{"Weight": part / 100, "Service": f"s{n}"} for n, part in enumerate(scaled)]
    found = routes(splitter(*splits))
    drawn = {one.targets[0].service.name for one in found.ways()}
    assert drawn == {f"s{n}" for n, part in enumerate(scaled) if part}


class Chance(random.Random):
    """Gives what it is told."""

    def __init__(self, point):
        super().__init__(1)
        self.point = point

    def random(self):
        return self.point


def test_a_split_of_a_hundredth_of_a_per_cent():
    found = routes(splitter({"Weight": 0.01, "Service": "rare"}, {"Weight": 99.99}))
    drawn = [
        found.way(Request(), Chance(point)).targets[0].service.name
        for point in (0.0, 0.000099, 0.0001, 0.999999999999)
    ]
    assert drawn == ["rare", "rare", "web", "web"]


def test_splits_lie_within_three_deviations():
    weights = {"a": 0.5, "b": 9.5, "c": 30.0, "d": 60.0}
    splits = [{"Weight": weight, "Service": name} for name, weight in weights.items()]
    found, chance, request = routes(splitter(*splits)), random.Random(1), Request()
    total = 100_000
    drawn = Counter(found.way(request, chance).targets[0].service.name for _ in range(total))
    for name, weight in weights.items():
        share = weight / 100
        assert abs(drawn[name] - total * share) <= 3 * math.sqrt(total * share * (1 - share))


def test_changes_of_each_level():
    split = {
        "Weight": 100,
        "Service": "v2",
        "RequestHeaders": {"Set": {"a": "split", "b": "split"}},
    }
    destination = {
        "RequestHeaders": {"Set": {"a": "route"}},
        "ResponseHeaders": {"Remove": ["Server"]},
    }
    exposed = {"RequestHeaders": {"Add": {"a": "service"}}, "ResponseHeaders": {"Add": {"x": "1"}}}
    found = way(routes(splitter(split), router({"Destination": destination}), exposed=exposed))
    assert found.onward(Request(headers=(("a", "client"),))).headers == (
        ("b", "split"),
        ("a", "route"),
        ("a", "service"),
    )
    assert found.back((("server", "s"), ("y", "2"))) == (("y", "2"), ("x", "1"))


def test_the_balancer_of_each_target_and_the_first_hash_of_a_splitter():
    ring = {
        "Policy": "ring_hash",
        "HashPolicies": [{"Field": "header", "FieldValue": "x-user"}],
    }
    least = {"Policy": "least_request", "LeastRequestConfig": {"ChoiceCount": 3}}
    found = routes(
        splitter({"Weight": 50, "Service": "a"}, {"Weight": 50, "Service": "b"}),
        resolver("a", LoadBalancer=least),
        resolver("b", LoadBalancer=ring),
    )
    by_name = {one.targets[0].service.name: one for one in found.ways()}
    assert by_name["a"].balancer.choices == 3
    assert by_name["b"].balancer.policy is LoadBalancing.RING_HASH
    assert [one.hash_policies[0].by for one in by_name.values()] == [HashBy.HEADER] * 2
    alone = way(routes(resolver(LoadBalancer=ring)))
    assert alone.hash_policies == by_name["b"].hash_policies


def table(count):
    patterns = {f"s{n}": host_patterns(f"s{n}", [f"h{n}.example.com"], 8080) for n in range(count)}
    patterns["wild"] = ("*.example.com", "*.a.example.com")
    one = routes()
    return RouteTable(Hosts(patterns), dict.fromkeys(patterns, one))


def test_hosts():
    found, chance = table(10), random.Random(1)
    assert found.service("H3.example.com:8080") == "s3"
    assert found.service("x.a.example.com") == "wild"
    assert found.way(Request(host="h3.example.com"), chance) is not None
    assert found.way(Request(host="h3.example.org"), chance) is None
    assert found.way(Request(), chance) is None


def test_ten_thousand_hosts_cost_what_ten_do():
    def cost(hosts):
        found, chance, request = table(hosts), random.Random(1), Request(host="h7.example.com")
        best = math.inf
        for _ in range(5):
            began = time.process_time()
            for _ in range(2000):
                found.way(request, chance)
            best = min(best, time.process_time() - began)
        return best

    assert cost(10_000) < 3 * cost(10)
