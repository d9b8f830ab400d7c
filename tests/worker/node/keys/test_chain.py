"""A chain is believed only for the identity and key it was asked for, and leads to the roots that signed."""

import pytest

from cluster.keys import csr_pem, new_key_pem
from tests.fakes.authority import Authority
from worker.node.keys.chain import ChainError, leads_to, make_leaf

NOW = 1_000_000_000.0
URI = "spiffe://t/ns/default/dc/dc1/svc/web"


@pytest.fixture(scope="module")
def authority():
    return Authority()


def leaf_of(authority, extra=b""):
    key = new_key_pem()
    return make_leaf(URI, authority.sign(csr_pem(key, URI), now=NOW) + extra, key)


def test_a_good_chain_tells_its_life(authority):
    leaf = leaf_of(authority)
    assert (leaf.uri, leaf.not_before, leaf.not_after) == (URI, NOW - 60, NOW + 3540)


def test_another_identity_another_key_and_rubbish_are_refused(authority):
    key, other = new_key_pem(), new_key_pem()
    chain = authority.sign(csr_pem(key, URI), now=NOW)
    with pytest.raises(ChainError, match="for another key"):
        make_leaf(URI, chain, other)
    with pytest.raises(ChainError, match="not for spiffe://t/other"):
        make_leaf("spiffe://t/other", chain, key)
    for rubbish in (b"", b"rubbish", chain[:-40]):
        with pytest.raises(ChainError, match="not a certificate chain"):
            make_leaf(URI, rubbish, key)
    with pytest.raises(ChainError, match="not a certificate chain"):
        make_leaf(URI, authority.root().pem, key)


def test_leads_to_the_root_that_signed_and_to_one_that_vouches_for_it(authority):
    older = Authority("older")
    stranger = Authority()  # of the same name
    leaf = leaf_of(authority, older.cross_sign(authority))
    assert leads_to(leaf, authority.root())
    assert leads_to(leaf, older.root())
    assert not leads_to(leaf, stranger.root())
    assert not leads_to(leaf_of(authority), older.root())
