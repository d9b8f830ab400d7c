"""Recorded connections judged anew."""

from cluster.intentions import Action, Intention
from cluster.names import ServiceName
from cluster.policies import RulesByDestination
from cluster.snapshot import Policy
from coordinator.changes.flows import simulate


def flow(source, destination="billing", **more):
    return {"id": "n/0/1", "source": source, "destination": destination} | more


def policy_of(**actions):
    rules = tuple(
        Intention(
            source=ServiceName(name=source),
            destination=ServiceName(name="billing"),
            action=Action(action),
        )
        for source, action in actions.items()
    )
    return RulesByDestination(Policy(intentions=rules)).policy


def test_who_was_let_in_and_would_not_be_and_the_other_way_round():
    flows = [
        flow("web"),
        flow("web", id="n/0/2", end="finished"),
        flow("api", end="denied"),
        flow("cron", end="denied"),
        flow("", state="hello"),
    ]
    found = simulate(flows, policy_of(api="allow"))
    assert (found.flows, found.same, found.skipped) == (5, 1, 1)
    api, web = found.differs
    assert (api.source, api.was, api.now, api.flows) == ("api", False, True, 1)
    assert (web.source, web.was, web.now, web.flows) == ("web", True, False, 2)
    assert web.examples == ("n/0/1", "n/0/2")
    assert "default policy" in web.reason


def test_what_is_no_record_is_skipped():
    found = simulate([3, None, {}, flow("a/b/c/d"), flow("web", "//")], policy_of())
    assert (found.flows, found.skipped, found.differs) == (5, 5, ())


def test_a_peers_service_is_not_ours():
    found = simulate([flow("peer:east/default/web", end="denied")], policy_of(web="allow"))
    assert (found.same, found.differs) == (1, ())
