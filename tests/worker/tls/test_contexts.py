"""Material that no context can be made of is refused with its name; the right material is not."""

import pytest

from worker.tls.contexts import (
    TlsVersions,
    UnusableMaterial,
    mesh_client_context,
    origination_context,
    server_context,
)


def anybody(uris):
    return None


@pytest.fixture(scope="module")
def leaf(mesh):
    return mesh.issue(uris=["spiffe://a/b"])


@pytest.fixture(scope="module")
def other(mesh):
    return mesh.issue(uris=["spiffe://a/b"])


def test_every_kind_can_be_made(mesh, leaf):
    server_context(leaf.chain_pem, leaf.key_pem, [mesh.pem, mesh.pem], check_peer=anybody)
    mesh_client_context(leaf.chain_pem, leaf.key_pem, [mesh.pem], alpn=(b"h2",))
    origination_context()
    origination_context(mesh.pem, leaf.chain_pem, leaf.key_pem)


def test_bad_material_is_named(mesh, leaf, other):
    def made(chain=leaf.chain_pem, key=leaf.key_pem, roots=(mesh.pem,)):
        return server_context(chain, key, roots, check_peer=anybody)

    with pytest.raises(UnusableMaterial, match="certificate and key: key values mismatch"):
        made(key=other.key_pem)
    with pytest.raises(UnusableMaterial, match="the certificate chain"):
        made(chain=b"")
    with pytest.raises(UnusableMaterial, match="the certificate chain"):
        made(chain=leaf.chain_pem[:100])
    with pytest.raises(UnusableMaterial, match="the private key"):
        made(key=b"nonsense")
    with pytest.raises(UnusableMaterial, match="the private key"):
        made(key=leaf.chain_pem)
    with pytest.raises(UnusableMaterial, match="the trusted roots"):
        made(roots=())
    with pytest.raises(UnusableMaterial, match="the trusted roots"):
        made(roots=(mesh.pem, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
    with pytest.raises(UnusableMaterial, match="cipher suites NONSENSE"):
        mesh_client_context(
            leaf.chain_pem, leaf.key_pem, [mesh.pem], versions=TlsVersions(tls12_suites=b"NONSENSE")
        )
    made()  # and nothing of all that is left over


def test_unusable_material_is_a_value_error_without_secrets(leaf, other, mesh):
    with pytest.raises(ValueError) as caught:
        mesh_client_context(leaf.chain_pem, other.key_pem, [mesh.pem])
    secret = other.key_pem.splitlines()[1].decode()
    assert secret not in str(caught.value)


def test_half_a_client_certificate_is_refused(mesh, leaf):
    for pair in ((leaf.chain_pem, None), (None, leaf.key_pem)):
        with pytest.raises(UnusableMaterial, match="both a certificate and a key"):
            origination_context(mesh.pem, *pair)
