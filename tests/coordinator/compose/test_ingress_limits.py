"""What two levels of an ingress gateway's entry say of limits and passive health."""

from cluster.balance.ejection import PassiveHealth
from cluster.balance.limits import NO_LIMITS, UpstreamLimits
from coordinator.compose.ingress_limits import passive_health, upstream_limits


def test_nothing_said_is_the_proxys_own():
    assert upstream_limits({}, {}) == NO_LIMITS
    assert passive_health({}, {}) == PassiveHealth()


def test_the_service_wins_field_by_field_and_zero_says_nothing():
    gateway = {"Defaults": {"MaxConnections": 10, "MaxPendingRequests": 20}}
    service = {"MaxConnections": 1, "MaxPendingRequests": 0, "MaxConcurrentRequests": 3}
    assert upstream_limits(gateway, service) == UpstreamLimits(
        connections=1, pending=20, requests=3
    )


def test_checks_are_merged_field_by_field():
    gateway = {
        "Defaults": {
            "PassiveHealthCheck": {
                "Interval": "5s",
                "MaxFailures": 7,
                "EnforcingConsecutive5xx": 50,
                "BaseEjectionTime": "1m0s",
            }
        }
    }
    own = {"MaxFailures": 2, "EnforcingConsecutive5xx": 0, "MaxEjectionPercent": 0}
    assert passive_health(gateway, {"PassiveHealthCheck": own}) == PassiveHealth(
        interval_seconds=5.0,
        max_failures=2,
        enforcing_percent=50,
        max_ejection_percent=0,
        base_ejection_seconds=60.0,
    )
    assert passive_health({}, {"PassiveHealthCheck": own}).enforcing_percent == 100
