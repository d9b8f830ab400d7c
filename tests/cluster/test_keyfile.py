"""A key file is the owner's alone, is never overwritten, and every error names it."""

import os

import pytest

from cluster import keyfile
from cluster.errors import ConfigError
from cluster.keyfile import create_key_file, ensure_key_file, read_key_file


def test_what_was_created_is_read_again(tmp_path):
    path = tmp_path / "bus.key"
    pair = ensure_key_file(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert pair.public_key not in path.read_text()
    assert read_key_file(path) == pair == ensure_key_file(path)
    assert os.listdir(tmp_path) == ["bus.key"]


def test_a_file_is_never_overwritten(tmp_path):
    path = tmp_path / "bus.key"
    path.write_text("precious")
    with pytest.raises(ConfigError, match="exists"):
        create_key_file(path)
    assert path.read_text() == "precious"
    assert os.listdir(tmp_path) == ["bus.key"]


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (b"a" * 40, 0o640, "0640 lets others read"),
        (b"short", 0o600, "40 characters"),
        (b"", 0o600, "40 characters"),
        ("schlüssel".encode(), 0o600, "not a CURVE key"),
    ],
)
def test_a_file_that_is_no_key_or_not_ours_alone_is_refused(tmp_path, content, mode, said):
    path = tmp_path / "bus.key"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=said) as refused:
        read_key_file(path)
    assert str(path) in str(refused.value)


def test_an_absent_file_is_told_once(tmp_path):
    path = tmp_path / "bus.key"
    with pytest.raises(ConfigError) as refused:
        read_key_file(path)
    assert str(refused.value) == f"{path}: No such file or directory"


def test_a_full_disk_leaves_nothing_and_it_can_be_made_later(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    path = tmp_path / "bus.key"
    with monkeypatch.context() as patch:
        patch.setattr(keyfile.os, "fsync", full)
        with pytest.raises(ConfigError, match=r"bus\.key: No space left"):
            ensure_key_file(path)
    assert os.listdir(tmp_path) == []
    ensure_key_file(path)


def test_what_a_killed_process_left_beside_it_is_no_obstacle(tmp_path):
    path = tmp_path / "bus.key"
    (tmp_path / ".bus.key.new").write_text("half")
    pair = ensure_key_file(path)
    assert read_key_file(path) == pair
    assert os.listdir(tmp_path) == ["bus.key"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere/bus\.key: No such file"):
        create_key_file(tmp_path / "nowhere" / "bus.key")
