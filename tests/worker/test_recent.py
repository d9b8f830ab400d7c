"""What is known of a connection after it is over."""

import pytest

from cluster.authorize import Denied, Permit
from cluster.intentions import Decision
from cluster.messages import Query
from cluster.names import ServiceName
from cluster.reasons import End
from tests.fakes.rig import allow, make_world
from worker.recent import Recent
from worker.report import closed_page, one_connection
from worker.telemetry.metrics import Metrics

WEB, BILLING = ServiceName(name="web"), ServiceName(name="billing")
RULE = allow("web", "billing")


@pytest.fixture
async def world():
    return make_world()


def closed(world, end=End.FINISHED, answer=None, number=None):
    """A connection that came and went."""
    entry = world.live.add(
        gateway="egress", kind="terminating", generation=3, started=world.clock()
    )
    entry.routed(BILLING, "billing.x", Metrics().service("egress", "terminating", "billing"))
    entry.decided(answer or Permit(WEB, BILLING, Decision(allowed=True, rule=RULE)), 5)
    entry.flow.up_bytes = 7
    world.live.remove(entry)
    world.recent.add(entry, end, world.clock())
    return entry


def ask(world, what="closed", **arguments):
    query = Query(request=1, what=what, arguments=arguments)
    return (closed_page if what == "closed" else one_connection)(world, query)


async def test_it_is_told_why_it_ended_and_when(world):
    closed(world, End.INTENTION_REVOKED)
    (one,) = ask(world).items
    assert (one["id"], one["state"], one["end"]) == ("n1/0/1", "closed", "intention_revoked")
    assert (one["source"], one["destination"], one["bytes_up"]) == ("web", "billing", 7)
    assert one["generation"] == 5
    assert one["opened_at"] <= one["closed_at"] <= world.wall_clock() + 0.001


async def test_the_decision_is_told_live_and_closed(world):
    entry = closed(world)
    (one,) = ask(world, "connection", id=f"n1/0/{entry.number}").items
    assert one["decision"]["allowed"] is True
    assert one["decision"]["rule"]["SourceName"] == "web"
    assert one["decision"]["reason"] == "allowed by the intention web => billing (precedence 9)"
    live = world.live.add(gateway="egress", kind="terminating", generation=3, started=0.0)
    (one,) = ask(world, "connection", id=f"n1/0/{live.number}").items
    assert (one["state"], one["decision"]["allowed"]) == ("hello", None)
    for other in ("n1/1/1", "n1/0/99", "n1/0/x", "x"):
        assert ask(world, "connection", id=other).items == ()


async def test_who_was_refused_is_known_too(world):
    denied = Denied(WEB, BILLING, Decision(allowed=False), "denied by the default policy")
    closed(world, End.DENIED, denied)
    (one,) = ask(world, source="web").items
    assert (one["source"], one["end"]) == ("web", "denied")
    (one,) = ask(world, "connection", id="n1/0/1").items
    assert one["decision"] == {
        "allowed": False,
        "rule": None,
        "default": True,
        "precedence": 0,
        "reason": "denied by the default policy",
    }


async def test_only_the_last_are_kept_and_pages_go_on_where_they_ended():
    world = make_world()
    recent = Recent(keep=4)
    object.__setattr__(world, "recent", recent)
    for _ in range(6):
        closed(world)
    first = closed_page(world, Query(request=1, what="closed", limit=3))
    assert [one["id"] for one in first.items] == ["n1/0/3", "n1/0/4", "n1/0/5"]
    rest = closed_page(world, Query(request=1, what="closed", limit=3, cursor=first.cursor))
    assert ([one["id"] for one in rest.items], rest.cursor) == (["n1/0/6"], "")
    assert "not a cursor" in closed_page(world, Query(request=1, what="closed", cursor="x")).error
