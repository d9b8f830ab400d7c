"""The host of a request leads to one service, in the order that patterns have among each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.ingress import Hosts, host_patterns

LISTENER = Hosts(
    {
        "exact": ["shop.example.com"],
        "wide": ["*.example.com"],
        "deep": ["*.eu.example.com"],
        "web": ["web.ingress.*"],
        "dc": ["web.ingress.dc1.*"],
        "rest": ["*"],
    }
)


@pytest.mark.parametrize(
    ("host", "service"),
    [
        ("shop.example.com", "exact"),
        ("SHOP.Example.COM", "exact"),
        ("a.example.com", "wide"),
        ("a.b.example.com", "wide"),
        ("a.eu.example.com", "deep"),
        (".example.com", "rest"),
        ("example.com", "rest"),
        ("web.ingress.consul", "web"),
        ("web.ingress.consul:99", "web"),
        ("web.ingress.dc1.consul", "dc"),
        ("web.ingress.dc1.", "web"),
        ("web.ingress.", "rest"),
        ("web.ingress.a.example.com", "wide"),
        ("shop.example.com:8080", "rest"),
        ("", None),
    ],
)
def test_precedence(host, service):
    assert LISTENER.service(host) == service


def test_no_pattern_no_service():
    assert Hosts({}).service("web.ingress.consul") is None
    assert Hosts({"web": ["web.ingress.*"]}).service("api.ingress.consul") is None


def test_the_first_service_keeps_its_pattern():
    hosts = Hosts({"a": ["x.test", "*.y", "z.*", "*"], "b": ["X.test", "*.Y", "z.*", "*"]})
    assert [hosts.service(one) for one in ("x.test", "1.y", "z.1", "else")] == ["a"] * 4


@pytest.mark.parametrize(
    ("hosts", "patterns"),
    [
        ([], ("web.ingress.*", "web.ingress.*:80")),
        (["a.test"], ("a.test", "a.test:80")),
        (["a.test", "a.test:80"], ("a.test", "a.test:80")),
        (["a.test:90"], ("a.test:90",)),
        (["*"], ("*", "*:80")),
    ],
)
def test_patterns(hosts, patterns):
    assert host_patterns("web", hosts, 80) == patterns


def test_patterns_of_another_namespace():
    assert host_patterns("web", (), 80, "shop")[0] == "web.ingress.shop.*"


TEXT = st.text("ab.:", min_size=1, max_size=6)
PATTERN = st.one_of(TEXT, TEXT.map(lambda t: f"*{t}"), TEXT.map(lambda t: f"{t}*"), st.just("*"))


@given(st.lists(PATTERN, unique=True, max_size=8), TEXT)
def test_the_winner_is_the_one_that_the_order_says(patterns, host):
    """Against the order written out: each pattern is its own service."""

    def rank(pattern):
        if pattern == host:
            return (3, 0)
        if pattern == "*":
            return (0, 0)
        if pattern[0] == "*" and host.endswith(pattern[1:]) and len(host) > len(pattern) - 1:
            return (2, len(pattern))
        if pattern[-1] == "*" and host.startswith(pattern[:-1]) and len(host) > len(pattern) - 1:
            return (1, len(pattern))
        return None

    ranked = [(rank(pattern), pattern) for pattern in patterns if rank(pattern) is not None]
    winner = max(ranked)[1] if ranked else None
    assert Hosts({pattern: [pattern] for pattern in patterns}).service(host) == winner
