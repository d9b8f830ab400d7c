"""A resolver's `LoadBalancer` as it is spelled."""

import pytest

from cluster.balance import (
    Balancer,
    HashBy,
    HashPolicy,
    LoadBalancing,
    balancer_of,
    hash_policies_of,
)


@pytest.mark.parametrize(
    ("spelled", "balancer"),
    [
        ({}, Balancer(policy=LoadBalancing.ROUND_ROBIN)),
        ({"Policy": ""}, Balancer()),
        ({"Policy": "maglev"}, Balancer(policy=LoadBalancing.MAGLEV)),
        (
            {"Policy": "ring_hash", "RingHashConfig": {"MinimumRingSize": 7, "MaximumRingSize": 9}},
            Balancer(policy=LoadBalancing.RING_HASH, minimum_ring_size=7, maximum_ring_size=9),
        ),
        (
            {"Policy": "least_request", "LeastRequestConfig": {"ChoiceCount": 3}},
            Balancer(policy=LoadBalancing.LEAST_REQUEST, choices=3),
        ),
    ],
)
def test_a_balancer(spelled, balancer):
    assert balancer_of(spelled) == balancer


@pytest.mark.parametrize(
    ("spelled", "policy"),
    [
        ({"Field": "header", "FieldValue": "X-User"}, HashPolicy(by=HashBy.HEADER, name="X-User")),
        ({"SourceIP": True, "Terminal": True}, HashPolicy(by=HashBy.SOURCE_IP, terminal=True)),
        (
            {"Field": "cookie", "FieldValue": "c", "CookieConfig": {"TTL": "90s", "Path": "/a"}},
            HashPolicy(by=HashBy.COOKIE, name="c", age_seconds=90, path="/a"),
        ),
        (
            {"Field": "cookie", "FieldValue": "c", "CookieConfig": {"Session": True}},
            HashPolicy(by=HashBy.COOKIE, name="c", session=True),
        ),
    ],
)
def test_a_hash_policy(spelled, policy):
    assert hash_policies_of({"HashPolicies": [spelled]}) == (policy,)
