"""The last good snapshot is believed only exactly as it was written."""

import pytest

from cluster.certs import Root, TrustBundle
from cluster.sections import encode_snapshot
from cluster.snapshot import Snapshot, SnapshotId, Trust
from worker.node.delivery import Held
from worker.node.lastgood import load, save


@pytest.fixture
def held():
    bundle = TrustBundle(trust_domain="t", roots=(Root(id="r", pem=b"pem", active=True),))
    snapshot = Snapshot(trust=Trust(datacenter="dc1", bundle=bundle))
    encoded = encode_snapshot(snapshot)
    id_ = SnapshotId(epoch="e", generation=5, digest=encoded.digest)
    return Held(id=id_, encoded=encoded, snapshot=snapshot, committed_at=1.5)


def test_comes_back_with_its_time(tmp_path, held):
    path = tmp_path / "snapshot"
    save(path, held, confirmed_at=9.0)
    assert load(path) == (held, 9.0)
    assert path.stat().st_mode & 0o777 == 0o600


def test_nothing_there_is_nothing(tmp_path):
    assert load(tmp_path / "snapshot") is None


def test_no_changed_byte_and_no_cut_is_believed(tmp_path, held):
    path = tmp_path / "snapshot"
    save(path, held, confirmed_at=9.0)
    body = path.read_bytes()
    content = body.index(b"pem")  # inside a section: only the digest knows
    for damaged in (
        body[:-1],
        body[: len(body) // 2],
        b"",
        body[:content] + b"P" + body[content + 1 :],
    ):
        path.write_bytes(damaged)
        assert load(path) is None


def test_content_of_another_digest_is_not_believed(tmp_path, held):
    path = tmp_path / "snapshot"
    id_ = SnapshotId(epoch="e", generation=5, digest="0" * 64)
    other = Held(id=id_, encoded=held.encoded, snapshot=held.snapshot, committed_at=1.5)
    save(path, other, confirmed_at=9.0)
    assert load(path) is None
