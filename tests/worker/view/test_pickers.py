"""Pickers outlive views whose endpoints are the same."""

from cluster.balance import Balancer, LoadBalancing
from cluster.routes import Endpoint
from worker.view.pickers import KeptPickers

MAGLEV = Balancer(policy=LoadBalancing.MAGLEV)
ENDPOINTS = tuple(Endpoint(address=f"10.0.0.{n}", port=80) for n in range(3))
KEY = ("egress", "db")


def nobody(endpoint):
    return 0


def test_the_same_endpoints_keep_their_picker():
    kept = KeptPickers()
    first = kept.of(KEY, MAGLEV, ENDPOINTS, nobody)
    kept.forget_others()
    equal = tuple(Endpoint(address=one.address, port=80) for one in ENDPOINTS)
    assert kept.of(KEY, MAGLEV, equal, nobody) is first
    assert kept.of(("egress", "web"), MAGLEV, ENDPOINTS, nobody) is not first
    assert kept.of(KEY, Balancer(), ENDPOINTS, nobody) is not first


def test_another_weight_or_health_makes_another():
    kept = KeptPickers()
    first = kept.of(KEY, MAGLEV, ENDPOINTS, nobody)
    sick = Endpoint(address="10.0.0.0", port=80, healthy=False)
    assert kept.of(KEY, MAGLEV, (sick, *ENDPOINTS[1:]), nobody) is not first


def test_who_is_not_asked_for_is_forgotten():
    kept = KeptPickers()
    first = kept.of(KEY, MAGLEV, ENDPOINTS, nobody)
    kept.forget_others()
    kept.forget_others()
    assert kept.of(KEY, MAGLEV, ENDPOINTS, nobody) is not first
