"""A key file is the owner's alone, is never overwritten, and every error names it."""

import pytest

from cluster.errors import ConfigError
from cluster.keyfile import create_key_file, ensure_key_file, read_key_file


def test_what_was_created_is_read_again(tmp_path):
    path = tmp_path / "bus.key"
    pair = ensure_key_file(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert pair.public_key not in path.read_text()
    assert read_key_file(path) == pair == ensure_key_file(path)


def test_a_file_is_never_overwritten(tmp_path):
    path = tmp_path / "bus.key"
    path.write_text("precious")
    with pytest.raises(ConfigError, match="exists"):
        create_key_file(path)
    assert path.read_text() == "precious"


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
