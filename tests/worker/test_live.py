import pytest

from cluster.authorize import Permit
from cluster.intentions import Decision
from cluster.names import ServiceName
from cluster.policies import RulesByDestination
from cluster.reasons import End
from cluster.snapshot import Policy
from tests.fakes.rig import allow, deny
from worker.live import Live, expired, revoked
from worker.telemetry.metrics import Metrics

WEB, API, BILLING = (ServiceName(name=name) for name in ("web", "api", "billing"))


@pytest.fixture
def live():
    return Live()


def add(live, source=None, destination=BILLING):
    entry = live.add(gateway="egress", kind="terminating", generation=7, started=100.0)
    if source is not None:
        entry.permit = Permit(source, destination, Decision(allowed=True))
    return entry


def policy_of(*rules, default_allow=False):
    return RulesByDestination(Policy(default_allow=default_allow, intentions=rules)).policy


def test_numbers_are_never_used_twice(live):
    first = add(live)
    live.remove(first)
    assert add(live).number == first.number + 1
    assert live.get(first.number) is None


def test_pages_go_on_where_the_last_one_ended_although_entries_leave(live):
    entries = [add(live) for _ in range(5)]
    first = live.page(0, 2)
    live.remove(entries[1])
    assert first == tuple(entries[:2])
    assert live.page(first[-1].number, 2) == tuple(entries[2:4])
    assert live.page(entries[4].number, 2) == ()


def test_exactly_the_denied_pair_is_revoked(live):
    web, api = add(live, WEB), add(live, API)
    elsewhere, undecided = add(live, WEB, API), add(live)
    rules = policy_of(deny("web", "billing"), allow("*", "*"))
    assert revoked(live, rules) == (web,)
    assert api in tuple(live)
    assert elsewhere in tuple(live)
    assert undecided in tuple(live)


def test_a_deny_reaches_connections_to_a_service_that_is_not_linked_any_more(live):
    entry = add(live, WEB)
    assert revoked(live, policy_of()) == (entry,)
    assert revoked(live, policy_of(default_allow=True)) == ()


def test_a_policy_is_asked_for_once_per_destination(live):
    asked = []

    def policy(destination):
        asked.append(destination)
        return policy_of(default_allow=True)(destination)

    for _ in range(3):
        add(live, WEB)
    assert revoked(live, policy) == ()
    assert asked == [BILLING]


def test_who_is_expired(live):
    entry, other = add(live), add(live)
    entry.expires_at = 50.0
    assert expired(live, 49.9) == ()
    assert expired(live, 50.0) == (entry,)
    assert other.expires_at == float("inf")


def test_the_first_reason_to_end_stands(live):
    entry, cancelled = add(live), []
    entry.on_end(lambda: cancelled.append(True))
    assert entry.end(End.INTENTION_REVOKED)
    assert not entry.end(End.CLOSED_BY_OPERATOR)
    assert entry.ended_by is End.INTENTION_REVOKED
    assert cancelled == [True]


def test_an_entry_that_was_ended_before_its_task_began_wakes_it_at_once(live):
    entry, cancelled = add(live), []
    entry.end(End.CLOSED_BY_OPERATOR)
    entry.on_end(lambda: cancelled.append(True))
    assert cancelled == [True]


def test_while_it_relays_the_flow_is_killed_instead(live):
    entry, cancelled = add(live), []
    entry.on_end(lambda: cancelled.append(True))
    entry.state = "relay"
    entry.end(End.INTENTION_REVOKED)
    assert entry.flow.killed is End.INTENTION_REVOKED
    assert cancelled == []


def test_bytes_are_counted_once_however_often_they_are_asked_for(live):
    metrics, entry = Metrics(), add(live)
    entry.count_bytes()  # nobody to count for yet
    entry.routed(BILLING, "sni", metrics.service("egress", "terminating", "billing"))
    for up, down in ((10, 0), (10, 5), (12, 5)):
        entry.flow.up_bytes, entry.flow.down_bytes = up, down
        entry.count_bytes()
        entry.count_bytes()
    labels = {"gateway": "egress", "kind": "terminating", "service": "billing"}
    counted = {
        direction: metrics.registry.get_sample_value(
            "lockgate_connection_bytes_total", labels | {"direction": direction}
        )
        for direction in ("up", "down")
    }
    assert counted == {"up": 12, "down": 5}


def test_what_operators_are_shown(live):
    entry = add(live, WEB)
    entry.routed(BILLING, "billing.x", Metrics().service("egress", "terminating", "billing"))
    shown = entry.describe(101.5)
    assert shown["age_seconds"] == 1.5
    assert (shown["source"], shown["destination"], shown["sni"]) == ("web", "billing", "billing.x")
    assert (shown["state"], shown["generation"]) == ("hello", 7)
