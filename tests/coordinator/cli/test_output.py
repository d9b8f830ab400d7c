"""Results as text: columns that `awk` reads, and tables on a terminal from which nothing is missing."""

import sys

import pytest

from coordinator.cli.output import print_facts, print_table

LONG = "a-node-with-a-long-name/0/0123456789abcdef0123456789abcdef"


def test_columns_without_a_terminal(capsys):
    print_table(("Id", "State"), [(LONG, "open"), ("x", "")])
    heading, first, second = capsys.readouterr().out.splitlines()
    assert heading.split() == ["Id", "State"]
    assert first.split() == [LONG, "open"]
    assert second == "x"


@pytest.mark.parametrize("columns", ["20", "80", "400"])
def test_no_value_is_cut_off_on_a_terminal(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_table(("Id", "Other"), [(LONG, LONG[::-1])])
    told = capsys.readouterr().out
    assert LONG in told
    assert LONG[::-1] in told


def test_what_would_steer_a_terminal_is_shown_not_sent(capsys):
    print_facts([("Name", "a\x1b[2Jb\nc"), ("Empty", "")])
    assert capsys.readouterr().out == "Name:  a\\x1b[2Jb\\nc\n"
