"""What TTL checks were told: what is written at once, what waits, who is overdue."""

import pytest

from coordinator.health.heartbeats import Heartbeats
from coordinator.store.records import Record


def check(status="passing", output="", ttl="10s", name="a"):
    value = {"CheckID": name, "Status": status, "Output": output, "Type": "ttl"}
    value["Definition"] = {"TTL": ttl}
    return Record(table="checks", key=f"c1/{name}", value=value, create_index=1, modify_index=1)


@pytest.fixture
def beats():
    return Heartbeats()


def test_a_change_of_status_is_written_at_once_and_a_change_of_output_waits(beats):
    assert beats.told(check("critical"), "passing", "", 0)
    assert not beats.told(check(), "passing", "", 1)
    assert not beats.told(check(), "passing", "more", 2)
    assert beats.output(check()) == "more"
    assert beats.take_outputs() == {"c1/a": "more"}
    assert beats.take_outputs() == {}


def test_the_output_that_is_written_already_waits_for_nothing(beats):
    beats.told(check(output="x"), "passing", "y", 0)
    beats.told(check(output="x"), "passing", "x", 1)
    assert beats.take_outputs() == {}


def test_while_a_write_is_under_way_everything_is_written(beats):
    """A report that fits the present is none of the future when a write of another is on its way."""
    with beats.writing(["c1/a"]), beats.writing(["c1/a"]):
        assert beats.told(check(), "passing", "", 0)
    assert not beats.told(check(), "passing", "", 0)


def test_who_was_not_told_in_time_is_overdue_and_only_then(beats):
    beats.told(check(), "passing", "", 5)
    assert beats.overdue([check()], 14.9) == ([], 15)
    late, _ = beats.overdue([check()], 15)
    assert [one.key for one in late] == ["c1/a"]


def test_one_that_is_seen_first_gets_its_whole_time(beats):
    """After a restart nobody could have reported."""
    assert beats.overdue([check()], 100) == ([], 110)
    assert beats.overdue([check()], 105) == ([], 110)


def test_another_ttl_begins_anew_and_critical_ones_do_not_wait(beats):
    beats.overdue([check()], 0)
    assert beats.overdue([check(ttl="1m")], 9) == ([], 69)
    assert beats.overdue([check("critical")], 9) == ([], float("inf"))
    assert beats.overdue([check()], 100) == ([], 110)


def test_checks_of_other_kinds_never_wait(beats):
    other = check()
    other.value["Type"] = "tcp"
    assert beats.overdue([other], 1000) == ([], float("inf"))
