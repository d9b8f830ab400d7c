"""Counting what intentions answer: the view's labels, and no memory for strangers."""

import pytest
from prometheus_client import CollectorRegistry

from cluster.names import ServiceName
from worker.telemetry.decisions import Decisions
from worker.telemetry.tally import Counts
from worker.view.view import View

BILLING, WEB, API = (ServiceName(name=name) for name in ("billing", "web", "api"))


class Counted:
    """Decisions on a registry, and what they made of it."""

    def __init__(self):
        self.registry = CollectorRegistry()
        labels = ("gateway", "service", "source", "decision")
        self.decisions = Decisions(Counts("d", "", labels, registry=self.registry))

    def count(self, view, source, *, gateway="egress", service=BILLING, allowed=True):
        self.decisions.counter(view, gateway, service, source, allowed).inc()

    @property
    def series(self):
        return {
            tuple(sample.labels.values()): sample.value
            for metric in self.registry.collect()
            for sample in metric.samples
        }

    @property
    def remembered(self):
        return len(self.decisions._remembered)


@pytest.fixture
def counted():
    return Counted()


def knowing(*names):
    return View(known_sources=frozenset(names))


def test_each_answer_is_counted_by_what_it_was_about(counted):
    view = knowing("web", "api")
    for _ in range(2):
        counted.count(view, ServiceName(name="web"))
        counted.count(view, API)
        counted.count(view, WEB, allowed=False)
        counted.count(view, WEB, gateway="other-gw")
        counted.count(view, WEB, service=API)
    assert counted.series == {
        ("egress", "billing", "web", "allow"): 2,
        ("egress", "billing", "api", "allow"): 2,
        ("egress", "billing", "web", "deny"): 2,
        ("other-gw", "billing", "web", "allow"): 2,
        ("egress", "api", "web", "allow"): 2,
    }


def test_callers_that_the_view_does_not_know_are_one_and_take_no_memory(counted):
    view = knowing("web")
    counted.count(view, None, allowed=False)
    for number in range(100):
        counted.count(view, ServiceName(name=f"s{number}"), allowed=False)
    assert counted.series == {("egress", "billing", "other", "deny"): 101}
    assert counted.remembered == 1


def test_known_callers_are_found_without_asking_the_view_again(counted):
    class Asked:
        known_sources = frozenset({"web"})
        times = 0

        def source_label(self, source):
            self.times += 1
            return str(source)

    view = Asked()
    for _ in range(3):
        counted.count(view, WEB)
    assert view.times == 1
    assert counted.series == {("egress", "billing", "web", "allow"): 3}


def test_what_a_name_is_counted_as_changes_with_the_view(counted):
    for names in ((), ("web",), ("api",)):
        counted.count(knowing(*names), WEB)
    assert counted.series == {
        ("egress", "billing", "other", "allow"): 2,
        ("egress", "billing", "web", "allow"): 1,
    }
