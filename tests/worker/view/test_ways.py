"""Where a target can be dialled at once."""

import random
import socket

from cluster.routes import Endpoint
from cluster.snapshot import EndpointSet
from worker.view.ways import KeptWays, Ways

CHANCE = random.Random(1)


def test_an_address_is_ready_to_be_connected_to():
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = Endpoint(address="127.0.0.1", port=server.getsockname()[1])
        found, address = Ways((endpoint,)).first(CHANCE)
        assert found == endpoint
        assert len(address) == 16


def test_a_name_is_not():
    assert Ways((Endpoint(address="db.internal", port=5432),)).first(CHANCE) is None


def test_nor_is_what_is_unhealthy_or_not_there():
    assert Ways((Endpoint(address="10.0.0.1", port=1, healthy=False),)).first(CHANCE) is None
    assert Ways(()).first(CHANCE) is None


def test_a_set_that_did_not_change_keeps_its_ways():
    def sets(second_port):
        return [
            EndpointSet(name="a", endpoints=(Endpoint(address="10.0.0.1", port=1),)),
            EndpointSet(name="b", endpoints=(Endpoint(address="10.0.0.1", port=second_port),)),
        ]

    kept = KeptWays()
    first, second = kept.of(sets(2)), kept.of(sets(3))
    assert second["a"] is first["a"]
    assert second["b"].first(CHANCE)[0].port == 3
    assert kept.of([]) == {}
    assert kept.of(sets(2))["a"] is not first["a"], "what was away is forgotten"
