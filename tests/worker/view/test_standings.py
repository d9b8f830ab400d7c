"""Who is out, from view to view."""

import random

from cluster.balance.ejection import PassiveHealth
from cluster.routes import Endpoint
from worker.telemetry.tally import Count
from worker.view.standings import KeptStandings

RULES = PassiveHealth(max_failures=2, max_ejection_percent=100)
ONE, TWO = Endpoint(address="10.0.0.1", port=80), Endpoint(address="10.0.0.2", port=80)
KEY = ("front", "api")


class Views:
    """View after view of one target."""

    def __init__(self):
        self.kept, self.told = KeptStandings(), Count()

    def next(self, *endpoints, key=KEY, rules=RULES):
        found = self.kept.of(key, endpoints, rules, self.told)
        self.kept.forget_others()
        return found


def fail(standings, endpoint, times=2, now=0.0):
    for _ in range(times):
        standings.failed(endpoint, now, random.Random(1))


def test_nobody_is_out_at_first():
    standings = Views().next(ONE, TWO)
    standings.succeeded(ONE)
    fail(standings, ONE, 1)
    assert ONE not in standings.out(0.0)


def test_who_fails_is_out_for_a_while_and_counted_once():
    views = Views()
    standings = views.next(ONE, TWO)
    fail(standings, ONE, 5)
    assert standings.out(29.9) == {ONE}
    assert ONE not in standings.out(30.0)
    assert views.told.value == 1


def test_a_success_begins_anew():
    standings = Views().next(ONE)
    for _ in range(5):
        fail(standings, ONE, 1)
        standings.succeeded(ONE)
    assert ONE not in standings.out(0.0)


def test_the_next_view_knows_who_is_out_whatever_its_weight():
    views = Views()
    fail(views.next(ONE, TWO), ONE)
    heavier = Endpoint(address=ONE.address, port=ONE.port, weight=9)
    assert views.next(heavier, TWO).out(1.0) == {heavier}
    assert views.next(heavier).out(1.0) == {heavier}


def test_who_leaves_comes_back_without_a_past():
    views = Views()
    fail(views.next(ONE, TWO), ONE)
    views.next(TWO)
    assert ONE not in views.next(ONE, TWO).out(1.0)


def test_a_target_that_was_gone_is_new():
    views = Views()
    fail(views.next(ONE), ONE)
    views.next(ONE, key=("front", "other"))
    assert ONE not in views.next(ONE).out(1.0)


def test_an_old_view_speaks_of_who_is_still_there():
    views = Views()
    old = views.next(ONE, TWO)
    new = views.next(ONE, TWO)
    fail(old, ONE)
    assert new.out(1.0) == {ONE}
    newest = views.next(TWO)
    fail(newest, ONE)  # is not its to judge
    assert ONE not in views.next(ONE, TWO).out(1.0)
