"""Each condition of a retry."""

import pytest

from cluster.http.retries import CONDITIONS, Failure, Outcome, Retries, retries_of


@pytest.mark.parametrize(
    ("outcome", "conditions"),
    [
        (Outcome(status=200), set()),
        (Outcome(status=404), set()),
        (Outcome(status=409), {"retriable-4xx"}),
        (Outcome(status=500), {"5xx"}),
        (Outcome(status=503), {"5xx", "gateway-error"}),
        (Outcome(status=429, rate_limited=True), {"envoy-ratelimited"}),
        (Outcome(failure=Failure.CONNECT), {"5xx", "reset", "connect-failure"}),
        (Outcome(failure=Failure.RESET), {"5xx", "reset"}),
        (Outcome(failure=Failure.TIMEOUT), {"5xx", "reset"}),
        (Outcome(failure=Failure.REFUSED_STREAM), {"5xx", "refused-stream"}),
        (Outcome(status=200, grpc_status=0), set()),
        (Outcome(status=200, grpc_status=1), {"cancelled"}),
        (Outcome(status=200, grpc_status=4), {"deadline-exceeded"}),
        (Outcome(status=200, grpc_status=8), {"resource-exhausted"}),
        (Outcome(status=200, grpc_status=13), {"internal"}),
        (Outcome(status=200, grpc_status=14), {"unavailable"}),
    ],
)
def test_a_condition(outcome, conditions):
    met = {
        name
        for name in CONDITIONS
        if Retries(limit=1, conditions=frozenset({name})).again(outcome, 0)
    }
    assert met == conditions


@pytest.mark.parametrize(
    ("destination", "retries"),
    [
        ({}, None),
        ({"NumRetries": 3}, None),
        (
            {"RetryOnConnectFailure": True},
            Retries(limit=1, conditions=frozenset({"connect-failure"})),
        ),
        ({"RetryOn": ["5xx"], "NumRetries": 3}, Retries(limit=3, conditions=frozenset({"5xx"}))),
        (
            {"RetryOnStatusCodes": [401]},
            Retries(limit=1, conditions=frozenset(), statuses=frozenset({401})),
        ),
    ],
)
def test_what_a_route_says(destination, retries):
    assert retries_of(destination) == retries


def test_statuses_and_the_limit():
    retries = Retries(limit=2, conditions=frozenset(), statuses=frozenset({401}))
    assert retries.again(Outcome(status=401), 0)
    assert retries.again(Outcome(status=401), 1)
    assert not retries.again(Outcome(status=401), 2)
    assert not retries.again(Outcome(status=500), 0)
