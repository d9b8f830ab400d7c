"""Requests hashed by hash policies, and the cookies that are given."""

import random

import pytest

from cluster.balance import HashBy, HashPolicy
from cluster.http import Request
from cluster.http.affinity import NO_AFFINITY, Affinities

USER = HashPolicy(by=HashBy.HEADER, name="X-User")
ADDRESS = HashPolicy(by=HashBy.SOURCE_IP)
TEAM = HashPolicy(by=HashBy.QUERY, name="team")
COOKIE = HashPolicy(by=HashBy.COOKIE, name="c")


def key(*policies, source_ip="192.0.2.1", **request):
    return Affinities(policies).of(Request(**request), source_ip, random.Random(1)).key


def headers(**named):
    return tuple((name.replace("_", "-"), value) for name, value in named.items())


def test_nothing_to_hash():
    assert Affinities(()).of(Request(), "192.0.2.1", random.Random(1)) is NO_AFFINITY
    assert key(USER, TEAM, COOKIE) is None
    assert key(ADDRESS, source_ip="") is None


def user(name):
    return {"headers": headers(x_user=name, other="x")}


def cookie(text):
    return {"headers": headers(cookie=text)}


@pytest.mark.parametrize(
    ("policy", "one", "same", "other"),
    [
        (USER, user("a"), user("a") | {"path": "/x"}, user("b")),
        (TEAM, {"query": "team=a"}, {"query": "x=y&team=a"}, {"query": "team=b"}),
        (COOKIE, cookie("c=1"), cookie("b=2; c=1"), cookie("c=2")),
        (ADDRESS, {}, {"path": "/x"}, {"source_ip": "192.0.2.2"}),
    ],
)
def test_what_is_hashed(policy, one, same, other):
    assert key(policy, **one) is not None
    assert key(policy, **one) == key(policy, **same)
    assert key(policy, **one) != key(policy, **other)


def test_the_order_of_policies_counts_and_equal_values_do_not_cancel_out():
    both = {"headers": headers(x_user="a"), "query": "team=a"}
    assert key(USER, TEAM, **both) not in (0, key(USER, **both))
    mixed = {"headers": headers(x_user="a"), "query": "team=b"}
    assert key(USER, TEAM, **mixed) != key(TEAM, USER, **mixed)


def test_terminal_ends_it_only_with_a_hash():
    terminal = HashPolicy(by=HashBy.HEADER, name="x-user", terminal=True)
    asked = {"headers": headers(x_user="a"), "query": "team=a"}
    assert key(terminal, TEAM, **asked) == key(USER, **asked)
    assert key(terminal, TEAM, query="team=a") == key(TEAM, query="team=a")


@pytest.mark.parametrize(
    ("fields", "ending"),
    [
        ({"session": True}, "; HttpOnly"),
        ({"age_seconds": 90}, "; Max-Age=90; HttpOnly"),
        ({"age_seconds": 90, "path": "/a"}, "; Max-Age=90; Path=/a; HttpOnly"),
        ({"session": True, "path": "/"}, "; Path=/; HttpOnly"),
    ],
)
def test_a_client_without_the_cookie_gets_one_and_stays(fields, ending):
    policies = Affinities([HashPolicy(by=HashBy.COOKIE, name="c", **fields)])
    given = policies.of(Request(), "", random.Random(1))
    (cookie,) = given.cookies
    pair, _, rest = cookie.partition(";")
    assert f";{rest}" == ending
    again = policies.of(Request(headers=headers(cookie=pair)), "", random.Random(2))
    assert (again.key, again.cookies) == (given.key, ())
    assert policies.of(Request(), "", random.Random(3)).key != given.key


def test_a_cookie_without_age_is_not_given():
    only_path = HashPolicy(by=HashBy.COOKIE, name="c", path="/a")
    assert Affinities([only_path]).of(Request(), "", random.Random(1)) == NO_AFFINITY
