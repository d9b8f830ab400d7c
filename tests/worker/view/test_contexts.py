import os

import msgspec
import pytest
import structlog

from cluster.errors import UpstreamFault
from cluster.reasons import End
from tests.fakes.pki import TRUST_DOMAIN, Pki, service_uri, write
from tests.fakes.rig import files
from worker.view.contexts import (
    ClientContext,
    Origination,
    Originations,
    ServerContexts,
    peer_problem,
)


@pytest.fixture(scope="module")
def pki():
    return Pki()


@pytest.fixture
def paths(pki, tmp_path):
    """A CA, a certificate and a key as files."""
    ca = tmp_path / "ca.pem"
    ca.write_bytes(pki.pem)
    return (ca, *write(tmp_path, "client", pki.leaf(dns=["client"])))


def test_files_are_read_once_while_they_stay_the_same(paths):
    origination = Origination(files(*paths))
    assert origination.context() is origination.context()


def test_files_that_were_replaced_are_read_again(paths, pki, tmp_path):
    origination = Origination(files(*paths))
    before = origination.context()
    for path, new in zip(paths[1:], write(tmp_path, "new", pki.leaf(dns=["c"])), strict=True):
        os.replace(new, path)
    assert origination.context() is not before


@pytest.mark.parametrize("at", range(3))
def test_a_missing_file_is_named(paths, at):
    origination = Origination(files(*paths))
    origination.context()
    paths[at].unlink()
    with pytest.raises(UpstreamFault, match=paths[at].name) as raised:
        origination.context()
    assert raised.value.end is End.UPSTREAM_TLS


def test_it_recovers_when_the_file_is_back(paths):
    origination = Origination(files(*paths))
    text = paths[0].read_bytes()
    paths[0].unlink()
    with pytest.raises(UpstreamFault):
        origination.context()
    paths[0].write_bytes(text)
    assert origination.context() is not None


def test_the_log_tells_of_it_once_and_again_when_it_comes_back(paths):
    origination = Origination(files(*paths))
    text = paths[0].read_bytes()
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            paths[0].unlink()
            for _ in range(3):
                with pytest.raises(UpstreamFault):
                    origination.context()
            paths[0].write_bytes(text)
            origination.context()
    assert [paths[0].name in line["reason"] for line in logs] == [True, True]


def test_half_a_rotation_is_refused_until_it_is_whole(paths, pki, tmp_path):
    origination = Origination(files(*paths))
    origination.context()
    certificate, key = write(tmp_path, "new", pki.leaf(dns=["c"]))
    os.replace(certificate, paths[1])
    with pytest.raises(UpstreamFault, match="TLS files"):
        origination.context()
    os.replace(key, paths[2])
    assert origination.context() is not None


def test_without_files_the_systems_roots_are_enough():
    assert Origination(files(server_name="example.com")).context() is not None


def test_originations_are_kept_by_their_files():
    kept, one, other = Originations(), files(server_name="a"), files(server_name="b")
    first = kept.get(one)
    assert kept.get(files(server_name="a")) is first
    assert kept.get(other) is not first
    kept.keep(frozenset({one}))
    assert kept.get(one) is first


def test_server_contexts_that_nobody_uses_are_dropped(pki):
    contexts, leaf = ServerContexts(), pki.service("billing")
    made = contexts.get(leaf, pki.bundle)
    assert contexts.get(leaf, pki.bundle) is made
    contexts.keep(frozenset())
    assert contexts.get(leaf, pki.bundle) is not made


def test_another_leaf_or_another_set_of_roots_gets_a_context_of_its_own(pki):
    """And with it sessions of its own, so that a removed root ends those of its callers."""
    contexts, leaf = ServerContexts(), pki.service("billing")
    more = msgspec.structs.replace(pki.bundle, roots=pki.bundle.roots + Pki().bundle.roots)
    made = contexts.get(leaf, more)
    assert contexts.get(leaf, pki.bundle).context is not made.context
    assert contexts.get(pki.service("billing"), more).context is not made.context


def test_the_clock_is_handed_on_to_the_contexts(pki):
    made = ServerContexts(wall_clock=lambda: 7.0).get(pki.service("billing"), pki.bundle)
    assert made.context.get_app_data().wall_clock() == 7.0


def test_a_client_context_waits_for_leaf_and_roots(pki):
    client, leaf = ClientContext(), pki.service("web")
    assert client.get(None, pki.bundle) is None
    assert client.get(leaf, None) is None
    made = client.get(leaf, pki.bundle)
    assert client.get(leaf, pki.bundle) is made
    assert client.get(pki.service("web"), pki.bundle) is not made


@pytest.mark.parametrize(
    ("uris", "problem"),
    [
        ([service_uri("web")], None),
        ([], "0 URI SANs"),
        ([service_uri("web"), service_uri("api")], "2 URI SANs"),
        (["https://example.com/web"], "scheme"),
        (["spiffe://elsewhere.consul/ns/default/dc/dc1/svc/web"], "trust domain"),
        ([f"spiffe://{TRUST_DOMAIN}"], "no service"),
        ([f"spiffe://{TRUST_DOMAIN}/gateway/mesh/dc/dc1"], "no service"),
    ],
)
def test_who_is_somebody_here(uris, problem):
    found = peer_problem(TRUST_DOMAIN, tuple(uris))
    assert found is None if problem is None else problem in found
