import errno
import json
import os
import stat

import pytest

from coordinator.audit.log import KEEP, AuditError, AuditLog
from coordinator.audit.reading import last_calls
from tests.coordinator.store.test_full_disk import fill, small_disk

__all__ = ["small_disk"]


@pytest.fixture
def log(tmp_path):
    found = AuditLog(tmp_path)
    yield found
    found.close()


def line(number, **more):
    return {"id": f"c{number}", "state": "ended"} | more


async def test_lines_are_appended_for_the_owner_alone(log):
    await log.append_durably(line(1))
    await log.append(line(2))
    assert [json.loads(text)["id"] for text in log.path.read_text().splitlines()] == ["c1", "c2"]
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600


async def test_a_mode_that_somebody_widened_is_narrowed(log, tmp_path):
    log.path.chmod(0o644)
    AuditLog(tmp_path).close()
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600


def test_no_link_is_followed(tmp_path):
    (tmp_path / "audit.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        AuditLog(tmp_path)


async def test_it_goes_on_where_it_was_and_closes_what_a_crash_left(log, tmp_path):
    await log.append(line(1))
    with log.path.open("a") as torn:
        torn.write('{"id": "c2", "sta')
    again = AuditLog(tmp_path)
    await again.append(line(3))
    again.close()
    assert [call["id"] for call in last_calls(log.path, 9)] == ["c3", "c1"]


async def test_it_is_rotated_by_size_and_the_oldest_goes(tmp_path):
    log = AuditLog(tmp_path, max_bytes=200, keep=3)
    for number in range(40):
        await log.append(line(number))
    log.close()
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {"audit.jsonl", "audit.jsonl.1", "audit.jsonl.2", "audit.jsonl.3"}
    assert all(path.stat().st_size <= 200 for path in tmp_path.iterdir())
    assert [call["id"] for call in last_calls(log.path, 3)] == ["c39", "c38", "c37"]
    assert KEEP == 16


async def test_the_last_line_of_a_call_counts(log):
    await log.append(line(1, state="begun"))
    await log.append(line(2, state="begun"))
    await log.append(line(1, state="ended", status=200))
    found = last_calls(log.path, 9)
    assert [(call["id"], call["state"]) for call in found] == [("c1", "ended"), ("c2", "begun")]
    assert [call["id"] for call in last_calls(log.path, 1)] == ["c1"]


async def test_a_full_disk_refuses_changes_until_there_is_room(small_disk):
    log = AuditLog(small_disk)
    await log.append_durably(line(1))
    before = log.path.read_bytes()
    ballast = fill(small_disk)
    with pytest.raises(AuditError, match="nothing was changed: No space left"):
        await log.append_durably(line(2, pad="x" * 8192))
    assert log.path.read_bytes() == before  # no half line
    await log.append(line(3, pad="x" * 8192))  # told in the log, and remembered
    os.unlink(ballast)
    await log.require_writable()
    await log.append_durably(line(4))
    log.close()
    assert [call["id"] for call in last_calls(log.path, 9)] == ["c4", "c1"]
    assert '"resumed"' in log.path.read_text()


async def test_while_it_cannot_be_written_every_change_is_refused(small_disk):
    log = AuditLog(small_disk)
    pad = "x" * 8192
    fill(small_disk)
    with pytest.raises(AuditError):
        await log.append_durably(line(1, pad=pad))
    log.failed += pad  # the line that says so does not fit either
    with pytest.raises(AuditError):
        await log.require_writable()
    log.close()


async def test_where_there_is_no_new_file_to_be_had_nothing_is_lost(tmp_path, monkeypatch):
    log = AuditLog(tmp_path, max_bytes=100, keep=3)
    await log.append_durably(line(1, text="x" * 80))
    real, failing = os.open, True

    def no_descriptor(*arguments):
        if failing:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return real(*arguments)

    monkeypatch.setattr("coordinator.audit.log.os.open", no_descriptor)
    for number in (2, 3, 4, 5):
        with pytest.raises(AuditError, match="Too many open files"):
            await log.append_durably(line(number))
    failing = False
    await log.require_writable()
    await log.append_durably(line(6))
    log.close()
    assert [call["id"] for call in last_calls(log.path, 9)] == ["c6", "c1"]
