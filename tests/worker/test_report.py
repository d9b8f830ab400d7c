import pytest

from cluster.authorize import Permit
from cluster.intentions import Decision
from cluster.messages import Query
from cluster.names import ServiceName
from worker.live import Live
from worker.report import MAX_PAGE, close_ids, connections_page
from worker.settings import WorkerSettings
from worker.telemetry.metrics import Metrics

SETTINGS = WorkerSettings(node="n/1", runtime_dir="", index=2)
WEB, API, BILLING = (ServiceName(name=name) for name in ("web", "api", "billing"))


@pytest.fixture
def live():
    register = Live()
    meters = Metrics().service("egress", "terminating", "billing")
    for source in (WEB, API, WEB):
        entry = register.add(gateway="egress", kind="terminating", generation=1, started=0.0)
        entry.permit = Permit(source, BILLING, Decision(allowed=True))
        entry.routed(BILLING, "sni", meters)
    return register


def page(live, **query):
    return connections_page(live, Query(request=9, what="connections", **query), SETTINGS, 1.0)


def ids(answer):
    return [item["id"] for item in answer.items]


def test_pages_lead_to_the_end(live):
    first = page(live, limit=2)
    assert (first.request, first.cursor) == (9, "2")
    assert ids(first) == ["n/1/2/1", "n/1/2/2"]
    rest = page(live, limit=2, cursor=first.cursor)
    assert (ids(rest), rest.cursor) == (["n/1/2/3"], "")


def test_the_page_that_ends_exactly_at_the_end_says_there_may_be_more_once(live):
    answer = page(live, limit=3)
    assert answer.cursor == "3"
    assert page(live, limit=3, cursor="3").items == ()


def test_narrowed_by_source_and_destination(live):
    assert ids(page(live, arguments={"source": "web"})) == ["n/1/2/1", "n/1/2/3"]
    assert ids(page(live, arguments={"source": "api", "destination": "billing"})) == ["n/1/2/2"]
    assert ids(page(live, arguments={"destination": "other"})) == []


@pytest.mark.parametrize("limit", [0, -5, 10**9])
def test_a_page_has_at_least_one_and_at_most_so_many(live, limit):
    assert 1 <= len(page(live, limit=limit).items) <= MAX_PAGE


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "²", "9" * 5000])
def test_what_is_no_cursor_gets_an_error(live, cursor):
    assert "is not a cursor" in page(live, cursor=cursor).error


def test_ids_of_others_and_of_nobody_are_passed_over(live):
    meant = ["n/1/2/3", "n/1/1/1", "m/2/1", "n/1/2/99", "n/1/2/²", "n/1/2/", "3"]
    assert [entry.number for entry in close_ids(live, meant, SETTINGS)] == [3]
