"""The hosts file, its grammar and its changes; and what counts as an address."""

import pytest

from worker.dial.hosts import HostsFile, parse
from worker.dial.literal import is_address


def test_the_grammar():
    text = """
        # a comment
        127.0.0.1   localhost          # and another
        ::1 localhost ip6-localhost
        10.0.0.1\tDB.example. db
        10.0.0.2 db
        10.0.0.2 db
        not-an-address name
        10.0.0.3
    """
    assert parse(text) == {
        "localhost": ("127.0.0.1", "::1"),
        "ip6-localhost": ("::1",),
        "db.example": ("10.0.0.1",),
        "db": ("10.0.0.1", "10.0.0.2"),
    }


def test_names_are_compared_without_case_and_final_dot(tmp_path):
    (tmp_path / "hosts").write_text("10.0.0.1 db.example\n")
    hosts = HostsFile(str(tmp_path / "hosts"))
    assert hosts.lookup("DB.Example.") == ("10.0.0.1",)


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(tmp_path, monkeypatch):
    path = tmp_path / "hosts"
    hosts = HostsFile(str(path))
    assert hosts.lookup("db") == ()  # a missing file has no names
    path.write_text("10.0.0.1 db\n")
    assert hosts.lookup("db") == ("10.0.0.1",)
    monkeypatch.setattr("worker.dial.watched.WatchedFile.read", lambda self: 1 / 0)
    assert hosts.lookup("db") == ("10.0.0.1",)
    monkeypatch.undo()
    path.with_suffix(".new").write_text("10.0.0.2 db\n")
    path.with_suffix(".new").rename(path)
    assert hosts.lookup("db") == ("10.0.0.2",)
    path.unlink()
    assert hosts.lookup("db") == ()


@pytest.mark.parametrize("text", ["10.0.0.1", "::1", "2001:db8::1", "fe80::1%eth0"])
def test_addresses(text):
    assert is_address(text)


@pytest.mark.parametrize("text", ["", "db", "10.0.0", "10.0.0.1.", "[::1]", "1.2.3.4:80", "a\0b"])
def test_no_addresses(text):
    assert not is_address(text)
