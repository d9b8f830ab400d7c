"""From samples to the lines of the table."""

import pytest

from tests.bench.evaluate import Record, disturbance, evaluate
from tests.bench.rows import ROWS, many
from tests.bench.runs import CONNECT, ECHO_1
from tests.bench.table import render, spell

PEERS = ("haproxy", "nginx")
ROW = {row.key: row for row in ROWS}


def record(subject, rate, *, number=1, run=CONNECT, kind="passthrough", **changes):
    said = {"per_second": rate, "total_operations": 10_000, "p50_us": 50.0, "p99_us": 90.0}
    sample = {
        "said": said | changes.pop("said", {}),
        "cpu_seconds": 1.0,
        "busy_cores": 1.0,
        "load_share": 0.5,
        "other_cores": 0.1,
        "problem": "",
        "failures": {},
        "idle_bytes": None,
    }
    is_many = changes.pop("many", False)
    return Record(
        round=number,
        subject=subject,
        kind=kind,
        run=run.key,
        many=is_many,
        sample=sample | changes,
    )


def line(key, records):
    (found,) = evaluate([ROW[key]], records, peers=PEERS, cores=2)
    return found


def test_a_line_has_the_medians_of_all_rounds_and_ratios_of_them():
    rates = {"lockgate": (90, 100, 500), "haproxy": (100, 100, 100), "nginx": (1, 80, 90)}
    records = [
        record(name, rate, number=number)
        for name, found in rates.items()
        for number, rate in enumerate(found, 1)
    ]
    found = line("passthrough.connections", records)
    assert found.figures["lockgate"] == (90, 100, 500)
    assert found.medians == {"lockgate": 100, "haproxy": 100, "nginx": 80}
    assert found.ratios == {"haproxy": 1.0, "nginx": 1.25, "better": 1.0}
    assert (found.verdict, found.notes, found.limits) == ("met", (), ())


def test_less_is_better_where_it_is():
    records = [
        record(n, 1, cpu_seconds=c) for n, c in zip(("lockgate", *PEERS), (3, 2, 4), strict=True)
    ]
    found = line("passthrough.connections.cpu", records)
    assert found.ratios["better"] == pytest.approx(1.5)
    assert found.verdict == "NOT MET"


def test_a_sample_with_a_problem_is_no_figure_and_the_row_says_why():
    records = [record("lockgate", 5, problem="nothing was measured"), record("haproxy", 5)]
    found = line("passthrough.connections", records)
    assert found.medians["lockgate"] is None
    assert found.verdict == "no figure"
    assert found.notes == ("lockgate, round 1: nothing was measured",)


def test_connections_that_failed_are_told_and_summed_over_rounds():
    records = [
        record("nginx", 5, number=number, failures={"reset": 2, "refused": 1}) for number in (1, 2)
    ]
    notes = line("passthrough.connections", records).notes
    assert notes == (
        "nginx: 4 connections failed (reset)",
        "nginx: 2 connections failed (refused)",
    )


def test_latency_is_what_the_proxy_adds_to_the_direct_way_of_the_same_round():
    records = [
        record("lockgate", 1, run=ECHO_1),
        record("lockgate", 1, run=ECHO_1, number=2),
        record("direct", 1, run=ECHO_1, kind="direct", said={"p50_us": 20.0}),
    ]
    assert line("passthrough.latency-1-p50", records).figures["lockgate"] == (30.0, None)


def test_growth_is_judged_where_the_load_leaves_room_for_it():
    def two(rate, busy):
        return [
            record("lockgate", 100, busy_cores=busy),
            record("lockgate", rate, many=True),
        ]

    assert line("passthrough.growth", two(150, 1.9)).verdict == "met"
    assert line("passthrough.growth", two(140, 1.2)).verdict == "NOT MET"
    assert (
        line("passthrough.growth", two(140, 1.9)).verdict
        == "no room (1.9 of 2 cores busy with one)"
    )


def test_who_was_held_up_by_the_load_is_told():
    limits = line("passthrough.connections", [record("lockgate", 5, load_share=0.97)]).limits
    assert limits == ("lockgate: generator and upstream had 97% of their cores busy",)


def test_every_row_can_be_rendered_without_a_single_sample():
    text = render(evaluate(ROWS, [], peers=PEERS, cores=2), PEERS)
    assert all(row.title in text for row in ROWS)


def test_the_table_marks_rows_with_notes():
    text = render(
        [line("passthrough.connections", [record("nginx", 5, failures={"reset": 2})])], PEERS
    )
    assert "connections !" in text
    assert text.endswith("! passthrough, connections: nginx: 2 connections failed (reset)")


def test_numbers_are_spelt_with_the_digits_that_count():
    assert [spell(v) for v in (None, 0.123, 12.34, 12345.6)] == ["–", "0.12", "12.3", "12,346"]


def test_keys_of_rows_are_unique_and_runs_with_many_processes_have_keys_of_their_own():
    assert len({row.key for row in ROWS}) == len(ROWS)
    assert record("x", 1, many=True).key == many(CONNECT) != CONNECT.key


def test_disturbance_is_told_in_a_sentence():
    sentence = disturbance([record("x", 1, other_cores=share) for share in (0.1, 0.2, 1.5)])
    assert "0.20 cores at the median of 3 samples, 1.50 at most" in sentence
