"""The last good snapshot is believed only exactly as it was written, and a crash leaves one that is."""

import os

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.certs import Root, TrustBundle
from cluster.codec import encode
from cluster.sections import encode_snapshot
from cluster.snapshot import EndpointSet, Snapshot, SnapshotId, Trust
from worker.node import durable, lastgood
from worker.node.delivery import Held
from worker.node.lastgood import LastGood


def held_of(generation=5, endpoints=()):
    bundle = TrustBundle(trust_domain="t", roots=(Root(id="r", pem=b"pem", active=True),))
    sets = tuple(EndpointSet(name=name, endpoints=()) for name in endpoints)
    snapshot = Snapshot(trust=Trust(datacenter="dc1", bundle=bundle), endpoints=sets)
    encoded = encode_snapshot(snapshot)
    id_ = SnapshotId(epoch="e", generation=generation, digest=encoded.digest)
    return Held(id=id_, encoded=encoded, snapshot=snapshot, committed_at=1.5)


@pytest.fixture
def held():
    return held_of()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "snapshot"


def load(path):
    return LastGood(path).load()


def on_disk(path):
    """The size of each file, by its name."""
    return {one.name: one.stat().st_size for one in path.parent.iterdir()}


def test_comes_back_with_its_time(path, held):
    LastGood(path).save(held, confirmed_at=9.0)
    assert load(path) == (held, 9.0)
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600


def test_nothing_there_is_nothing(path):
    assert load(path) is None


def test_a_change_writes_what_is_new_and_not_the_whole(path, monkeypatch):
    written = []

    def counted(call):
        def counting(descriptor, body, *more):
            written.append(len(body))
            return call(descriptor, body, *more)

        return counting

    kept = LastGood(path)
    kept.save(held_of(1, [f"service-{n}" for n in range(2000)]), confirmed_at=0.0)
    before = on_disk(path)["snapshot.sections.1"]
    monkeypatch.setattr(os, "pwrite", counted(os.pwrite))
    kept.save(held_of(2, [f"service-{n}" for n in range(2001)]), confirmed_at=0.0)
    assert 0 < sum(written) < before / 32  # one shard of 64
    assert on_disk(path)["snapshot.sections.1"] == before + sum(written)
    assert load(path)[0].id.generation == 2


def test_the_disk_is_bounded_and_old_sections_go(path, monkeypatch):
    monkeypatch.setattr(lastgood, "SPARE_BYTES", 100)
    kept, most = LastGood(path), 0
    for generation in range(60):
        held = held_of(generation, [f"service-{generation}-{n}" for n in range(100)])
        kept.save(held, confirmed_at=0.0)
        used = sum(map(len, held.encoded.sections.values()))
        names = sorted(on_disk(path))
        assert (len(names), names[0]) == (2, "snapshot")
        most = max(most, on_disk(path)[names[1]] / used)
        if generation % 7 == 0:  # whoever has just started goes on where it was
            kept = LastGood(path)
            assert kept.load() == (held, 0.0)
    assert most < 2.2


class Crash(BaseException):
    """The process is gone."""


@given(crashes=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 3)), max_size=8))
@settings(max_examples=50, deadline=None)
def test_a_crash_at_any_point_leaves_the_last_good_one(tmp_path_factory, crashes):
    path = tmp_path_factory.mktemp("state") / "snapshot"
    good = held_of(0, ["first"])
    LastGood(path).save(good, confirmed_at=0.0)
    for generation, (steps, content) in enumerate(crashes, start=1):
        new = held_of(generation, [f"{content}-{n}" for n in range(20)])
        kept = LastGood(path)
        assert kept.load() == (good, 0.0)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(lastgood, "SPARE_BYTES", 0)
            crash_after(steps, patched)
            try:
                kept.save(new, confirmed_at=0.0)
            except Crash:
                pass
            else:
                good = new
        found, _ = load(path)
        assert found in (good, new)
        good = found


def crash_after(steps, patched):
    """Every call that writes counts; the one that is too much does half of its work, or none."""
    left = [steps]

    def failing(owner, name, half=None):
        call = getattr(owner, name)

        def made(*arguments, **options):
            left[0] -= 1
            if left[0] < 0:
                if half is not None:
                    half(call, *arguments)
                raise Crash
            return call(*arguments, **options)

        patched.setattr(owner, name, made)

    failing(os, "pwrite", lambda call, fd, body, at: call(fd, body[: len(body) // 2], at))
    failing(os, "fdatasync")
    failing(os, "fsync")
    failing(durable, "_flush_folder")
    failing(type(durable.Path()), "rename")
    failing(type(durable.Path()), "unlink")


def test_a_failed_write_is_made_good_by_the_next(path, monkeypatch):
    kept = LastGood(path)
    kept.save(held_of(1, ["a"]), confirmed_at=0.0)
    for name in ("pwrite", "fsync"):
        with monkeypatch.context() as patched:

            def full(*_):
                raise OSError(28, "No space left on device")

            patched.setattr(os, name, full)
            with pytest.raises(OSError, match="No space"):
                kept.save(held_of(2, ["b", name]), confirmed_at=0.0)
        assert load(path)[0].id.generation == 1 or name == "fsync"
        kept.save(held_of(1, ["a"]), confirmed_at=0.0)
    kept.save(held_of(3, ["c"]), confirmed_at=0.0)
    assert load(path)[0] == held_of(3, ["c"])
    assert len(on_disk(path)) == 2


@pytest.mark.parametrize("name", ["snapshot", "snapshot.sections.1"])
def test_no_changed_byte_and_no_cut_is_believed(path, held, name):
    LastGood(path).save(held, confirmed_at=9.0)
    file = path.with_name(name)
    body = file.read_bytes()
    content = body.find(b"pem")  # inside a section: only the digest knows
    for damaged in (
        body[:-1],
        body[: len(body) // 2],
        b"",
        *([body[:content] + b"P" + body[content + 1 :]] if content >= 0 else []),
    ):
        file.write_bytes(damaged)
        assert load(path) is None
    file.unlink()
    assert load(path) is None


def test_content_of_another_digest_is_not_believed(path, held):
    id_ = SnapshotId(epoch="e", generation=5, digest="0" * 64)
    other = Held(id=id_, encoded=held.encoded, snapshot=held.snapshot, committed_at=1.5)
    LastGood(path).save(other, confirmed_at=9.0)
    assert load(path) is None


def test_what_an_older_version_kept_in_one_file_is_read(path, held):
    path.write_bytes(
        encode(
            {
                "id": msgspec.to_builtins(held.id),
                "encoded": {
                    "manifest": held.encoded.manifest,
                    "sections": held.encoded.sections,
                },
                "committed_at": held.committed_at,
                "confirmed_at": 9.0,
            }
        )
    )
    kept = LastGood(path)
    assert kept.load() == (held, 9.0)
    kept.save(held, confirmed_at=10.0)
    assert load(path) == (held, 10.0)
