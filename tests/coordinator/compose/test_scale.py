"""Composing takes time in proportion to what there is: 25,000 instances and 20,000 intentions."""

import time

import pytest

from cluster.sections import encode_snapshot
from coordinator.compose import compose

SERVICES, INSTANCES_EACH, INTENTIONS = 5_000, 5, 20_000
NODES = 500


def _large(state_of):
    """Half of the services are plain and linked by a wildcard, half have sidecars."""
    services, checks = {}, {}
    for number in range(SERVICES):
        for copy in range(INSTANCES_EACH):
            node, name = f"n{(number + copy) % NODES}", f"svc{number}"
            services[f"{node}/{name}"] = _service(name, number, copy)
            checks[f"{node}/service:{name}"] = {"Status": "passing", "ServiceID": name}
    for number in range(4):
        services[f"gw{number}/egress"] = {
            "Service": "egress",
            "Kind": "terminating-gateway",
            "Port": 8443,
        }
    nodes = {
        node: {"Node": node, "Address": "10.0.0.1"} for node in (f"n{n}" for n in range(NODES))
    }
    return state_of(nodes=nodes, services=services, checks=checks, entries=_entries())


def _service(name, number, copy):
    service = {"ID": name, "Service": name, "Port": 1000 + copy, "Address": f"10.1.{copy}.1"}
    if number % 2:
        service |= {"Kind": "connect-proxy", "Proxy": {"DestinationServiceName": name}}
    return service


def _entries():
    gateway = {
        "Kind": "terminating-gateway",
        "Name": "egress",
        "Services": [{"Name": "*", "CAFile": "/etc/ca.pem"}],
    }
    intentions = {
        f"service-intentions/svc{number}": {
            "Name": f"svc{number}",
            "Sources": [
                {"Name": f"svc{source}", "Action": "allow"}
                for source in range(number, number + INTENTIONS // SERVICES)
            ],
        }
        for number in range(SERVICES)
    }
    return {"terminating-gateway/egress": gateway, **intentions}


@pytest.mark.slow
def test_a_large_mesh_in_seconds_not_minutes(state_of, trust):
    state = _large(state_of)
    began = time.process_time()
    snapshot = compose(state, default_allow=False, trust=trust).snapshot
    composed = time.process_time()
    encoded = encode_snapshot(snapshot)
    done = time.process_time()
    size = sum(map(len, encoded.sections.values()))
    print(f"compose {composed - began:.3f} s, encode {done - composed:.3f} s, {size} bytes")
    assert len(snapshot.policy.intentions) == INTENTIONS
    assert sum(len(made.endpoints) for made in snapshot.endpoints) >= SERVICES * INSTANCES_EACH
    # A quadratic loop would take minutes; a slow machine takes some seconds.
    assert composed - began < 10
