"""The catalog's values: health, weights, and addresses."""

import pytest

from cluster.catalog import Health, Instance, endpoint, worst
from cluster.names import ServiceName
from cluster.routes import Endpoint


def _instance(**fields) -> Instance:
    fields = {
        "node": "n1",
        "id": "web-1",
        "service": ServiceName(name="web"),
        "node_address": "10.0.0.1",
        "port": 80,
        **fields,
    }
    return Instance(**fields)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ((), Health.PASSING),
        ((Health.PASSING, Health.PASSING), Health.PASSING),
        ((Health.WARNING, Health.PASSING), Health.WARNING),
        ((Health.WARNING, Health.CRITICAL, Health.PASSING), Health.CRITICAL),
    ],
)
def test_an_instance_is_as_well_as_the_worst_of_its_checks(statuses, expected):
    assert worst(statuses) is expected


def test_the_services_own_address_comes_before_the_nodes():
    assert _instance().host == "10.0.0.1"
    assert _instance(address="db.example").host == "db.example"


@pytest.mark.parametrize(
    ("fields", "only_passing", "healthy", "weight"),
    [
        ({}, False, True, 1),
        ({"weight_passing": 10}, False, True, 10),
        ({"weight_passing": 10, "weight_warning": 3}, False, True, 10),
        (
            {"weight_passing": 10, "weight_warning": 3, "health": Health.WARNING},
            False,
            True,
            3,
        ),
        (
            {"weight_passing": 10, "weight_warning": 3, "health": Health.WARNING},
            True,
            False,
            3,
        ),
        ({"weight_passing": 10, "health": Health.CRITICAL}, False, False, 10),
        ({"weight_passing": 0}, False, False, 1),
        ({"weight_passing": -1}, False, False, 1),
        ({"weight_passing": 128}, False, True, 128),
        ({"weight_passing": 129}, False, True, 128),
        ({}, True, True, 1),
    ],
)
def test_what_a_gateway_sees_of_an_instance(fields, only_passing, healthy, weight):
    seen = endpoint(_instance(**fields), only_passing=only_passing)
    assert seen == Endpoint(address="10.0.0.1", port=80, healthy=healthy, weight=weight)


@pytest.mark.parametrize(
    ("address", "text"), [("10.0.0.1", "10.0.0.1:80"), ("fd00::1", "[fd00::1]:80")]
)
def test_an_endpoint_prints_as_people_write_it(address, text):
    assert str(Endpoint(address=address, port=80)) == text
