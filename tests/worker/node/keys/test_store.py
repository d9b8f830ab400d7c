"""Leaves on disk: private, whole, and not believed when damaged."""

import pytest

from cluster.keys import csr_pem, new_key_pem
from tests.fakes.authority import Authority
from worker.node.keys.chain import make_leaf
from worker.node.keys.store import LeafStore

AUTHORITY = Authority()


def make(uri):
    key = new_key_pem()
    return make_leaf(uri, AUTHORITY.sign(csr_pem(key, uri), now=1e9), key)


@pytest.fixture
def store(tmp_path):
    made = LeafStore(tmp_path / "state" / "leaves")
    assert made.load() == {}
    return made


def test_comes_back(store, tmp_path):
    leaves = {uri: make(uri) for uri in ("spiffe://t/a", "spiffe://t/../../b")}
    for leaf in leaves.values():
        store.save(leaf)
    assert store.load() == leaves
    folder = tmp_path / "state" / "leaves"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_a_damaged_file_or_a_foreign_key_is_not_believed(store, tmp_path):
    good, cut, swapped = (make(f"spiffe://t/{name}") for name in "abc")
    store.save(good)
    store.save(cut)
    store.save(type(swapped)(**{**_fields(swapped), "key_pem": new_key_pem()}))
    folder = tmp_path / "state" / "leaves"
    (cut_file,) = (path for path in folder.iterdir() if b"t/b" in path.read_bytes())
    cut_file.write_bytes(cut_file.read_bytes()[:-10])
    (folder / "rubbish.leaf").write_bytes(b"")
    assert store.load() == {good.uri: good}


def _fields(leaf):
    return {name: getattr(leaf, name) for name in leaf.__struct_fields__}


def test_keeps_only_what_is_wanted(store):
    one, other = make("spiffe://t/a"), make("spiffe://t/b")
    store.save(one)
    store.save(other)
    store.keep_only({one.uri})
    assert store.load() == {one.uri: one}
