"""Destinations: what a terminating gateway serves without an instance in the catalog."""

import pytest

from coordinator.compose import compose

DESTINATION = {"Destination": {"Addresses": ["www.example.com", "2001:db8::1"], "Port": 443}}
LINK = {"Name": "egress", "Services": [{"Name": "*", "CAFile": "/ca.pem"}]}


@pytest.fixture
def made(state_of, trust):
    def make(entry=DESTINATION, link=LINK, services=(), **more):
        state = state_of(
            nodes={"n1": {"Node": "n1", "Address": "10.0.0.1"}},
            services=dict(services),
            entries={
                "service-defaults/ext": entry | {"Name": "ext"},
                "terminating-gateway/egress": link,
                **more,
            },
        )
        composed = compose(state, default_allow=False, trust=trust)
        assert composed.problems == ()
        return composed.snapshot

    return make


def served(snapshot):
    sets = {one.name: one.endpoints for one in snapshot.endpoints}
    return {
        name: [(one.address, one.port) for one in sets[route.endpoints]]
        for route in snapshot.terminating[0].routes
        for name in route.server_names
    }


def test_each_address_has_a_name_of_its_own(made):
    suffix = "ext.default.dc1.internal.1234.consul"
    assert served(made()) == {
        f"destination.www-example-com.{suffix}": [("www.example.com", 443)],
        f"destination.2001-db8--1.{suffix}": [("2001:db8::1", 443)],
    }


def test_identity_tls_and_protocol_are_the_services(made):
    http = DESTINATION | {"Protocol": "http"}
    routes = made(http).terminating[0].routes
    assert {route.service.name for route in routes} == {"ext"}
    assert {route.tls.ca_file for route in routes} == {"/ca.pem"}
    assert {route.http.rewrites_host for route in routes} == {False}
    assert made().terminating[0].routes[0].http is None


def test_a_registered_service_wins(made):
    services = {"n1/ext": {"ID": "ext", "Service": "ext", "Port": 80}}
    assert served(made(services=services)) == {
        "ext.default.dc1.internal.1234.consul": [("10.0.0.1", 80)]
    }


def test_who_is_not_linked_is_not_served(made):
    assert served(made(link={"Name": "egress", "Services": [{"Name": "other"}]})) == {}
    assert served(made(entry={"Protocol": "tcp"})) == {}
