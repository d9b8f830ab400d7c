"""What entries say of the requests of a linked service."""

import pytest

from coordinator.compose.http_routes import connect_timeout_seconds, http_route
from coordinator.compose.linking import Link


def link(**options):
    return Link(gateway="egress", service="billing", create_index=1, modify_index=1, **options)


@pytest.fixture
def route(state_of):
    return lambda entries, **options: http_route(state_of(entries=entries), link(**options))


def test_without_entries_the_defaults_are_envoys(route):
    made = route({})
    assert (made.request_timeout_seconds, made.head_bytes) == (15.0, 61440)
    assert made.rewrites_host
    assert not made.replaces_client_cert


def test_each_entry_has_its_say(route):
    entries = {
        "service-resolver/billing": {
            "RequestTimeout": "1m30s",
            "LoadBalancer": {"Policy": "maglev"},
        },
        "service-defaults/billing": {"MaxRequestHeadersKB": 8},
        "mesh/mesh": {"HTTP": {"SanitizeXForwardedClientCert": True}},
    }
    made = route(entries, rewrite_host=False)
    assert made.request_timeout_seconds == 90.0
    assert made.load_balancer == {"Policy": "maglev"}
    assert made.head_bytes == 8192
    assert not made.rewrites_host
    assert made.replaces_client_cert


def test_how_long_connecting_may_take(state_of):
    entries = {"service-resolver/billing": {"ConnectTimeout": "250ms"}}
    assert connect_timeout_seconds(state_of(entries=entries), "billing") == 0.25
    assert connect_timeout_seconds(state_of(entries=entries), "other") == 5.0
