"""The CA as a whole: made once, taken up again, signing, and keeping its key to itself."""

import json
import random
import stat
import uuid

import pytest
import trio
from cryptography import x509

from cluster.errors import ConfigError, LockgateError
from coordinator.ca.authority import Authority
from coordinator.ca.csr import CsrRefused
from coordinator.ca.keys import dump_key, make_key
from coordinator.ca.root import describe_root, make_root
from coordinator.ca.sign import SigningRefused
from coordinator.store.memory import MemoryStore
from coordinator.store.records import Delete
from coordinator.store.sqlite import open_store
from coordinator.store.tables import CA, CA_KEYS, CA_SERIAL
from coordinator.store.wanted import Wanted

NOW = 1_700_000_000.0
UNLIMITED = {"CSRMaxPerSecond": 0}


@pytest.fixture
async def wanted():
    return await Wanted.open(MemoryStore())


async def open_authority(wanted, config=UNLIMITED, now=NOW, seed=1):
    return await Authority.open(
        wanted,
        datacenter="dc1",
        config=config,
        now=lambda: now,
        chance=random.Random(seed),
    )


def web_uri(authority):
    return f"spiffe://{authority.trust_domain}/ns/default/dc/dc1/svc/web"


async def test_bootstrap(wanted):
    authority = await open_authority(wanted, {"leaf_cert_ttl": "24h"})
    assert wanted.state.revision == 1
    cluster_id, _, rest = authority.trust_domain.partition(".")
    assert (uuid.UUID(cluster_id).version, rest) == (4, "consul")
    assert authority.config.leaf_ttl_seconds == 24 * 3600
    assert authority.config_document() == {
        "Provider": "consul",
        "Config": {
            "LeafCertTTL": "24h",
            "IntermediateCertTTL": "8760h",
            "RootCertTTL": "87600h",
        },
    }
    shown = authority.roots()
    (root,) = shown["Roots"]
    assert (shown["ActiveRootID"], shown["TrustDomain"]) == (root["ID"], authority.trust_domain)
    assert (root["Active"], root["SerialNumber"], root["ExternalTrustDomain"]) == (
        True,
        1,
        cluster_id,
    )
    assert (root["CreateIndex"], root["ModifyIndex"]) == (1, 1)
    json.dumps(shown)
    certificate = x509.load_pem_x509_certificate(root["RootCert"].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [name.value for name in names] == [f"spiffe://{authority.trust_domain}"]


async def test_each_cluster_has_an_id_of_its_own():
    ids = set()
    for seed in (1, 2):
        wanted = await Wanted.open(MemoryStore())
        ids.add((await open_authority(wanted, seed=seed)).trust_domain)
    assert len(ids) == 2


async def test_a_stored_ca_is_taken_up_and_the_file_does_not_count(wanted):
    before = await open_authority(wanted)
    again = await open_authority(wanted, {"LeafCertTTL": "2h"}, seed=2)
    assert wanted.state.revision == 1
    assert again.roots() == before.roots()
    assert again.config.leaf_ttl_seconds == 72 * 3600


async def test_a_bad_configuration_makes_nothing(wanted):
    with pytest.raises(ConfigError):
        await open_authority(wanted, {"LeafCertTTL": "1m"})
    assert wanted.state.revision == 0


async def test_signing(wanted, csr):
    authority = await open_authority(wanted)
    leaf = await authority.sign(csr(web_uri(authority), dns=["web"]))
    assert leaf.uri == web_uri(authority)
    assert (leaf.serial, leaf.not_before, leaf.not_after) == (2, NOW - 60, NOW - 60 + 72 * 3600)
    certificate = x509.load_pem_x509_certificate(leaf.chain_pem)
    (root,) = authority.trust_bundle().roots
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(root.pem))
    assert (await authority.sign(csr(web_uri(authority)))).serial == 3


async def test_signing_changes_nothing_that_others_see(wanted, csr):
    authority = await open_authority(wanted)
    await authority.sign(csr(web_uri(authority)))
    assert wanted.state.table_index(CA) == wanted.state.table_index(CA_KEYS) == 1
    assert wanted.state.table_index(CA_SERIAL) == wanted.state.revision == 2


async def test_a_request_that_is_not_acceptable(wanted, csr):
    authority = await open_authority(wanted)
    with pytest.raises(CsrRefused, match="trust domain other"):
        await authority.sign(csr("spiffe://other/ns/default/dc/dc1/svc/web"))
    with pytest.raises(CsrRefused, match="dc2"):
        await authority.sign(csr(web_uri(authority).replace("dc1", "dc2")))
    assert wanted.state.table_index(CA_SERIAL) == 1


async def test_an_expired_root_signs_nothing(wanted, csr):
    config = UNLIMITED | {"LeafCertTTL": "1h", "IntermediateCertTTL": "3h", "RootCertTTL": "3h"}
    authority = await open_authority(wanted, config)
    late = await open_authority(wanted, now=NOW + 3 * 3600)
    await authority.sign(csr(web_uri(authority)))
    with pytest.raises(SigningRefused, match="expired"):
        await late.sign(csr(web_uri(authority)))


async def test_signatures_come_at_the_configured_rate(wanted, csr):
    authority = await open_authority(wanted, {"CSRMaxPerSecond": 50})
    start = trio.current_time()
    leaves = []

    async def sign():
        leaves.append(await authority.sign(csr(web_uri(authority))))

    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(sign)
    assert trio.current_time() - start >= 5 / 50
    assert {leaf.serial for leaf in leaves} == set(range(2, 8))


async def test_a_given_key_and_root(wanted, csr, signer):
    key = make_key("rsa", 2048)
    root = make_root(key, signing=signer, serial=9, now=NOW, ttl_seconds=1e9, name_salt="given")
    pem = describe_root(root, key, external_trust_domain="").pem
    given = {"private_key": dump_key(key), "root_cert": pem}
    authority = await open_authority(wanted, UNLIMITED | given)
    (shown,) = authority.roots()["Roots"]
    assert (shown["RootCert"], shown["PrivateKeyType"], shown["SerialNumber"]) == (pem, "rsa", 9)
    leaf = await authority.sign(csr(web_uri(authority)))
    x509.load_pem_x509_certificate(leaf.chain_pem).verify_directly_issued_by(root)
    again = await open_authority(wanted)
    await again.configure({"LeafCertTTL": "2h"})
    await again.configure(given)
    assert again.roots()["ActiveRootID"] == authority.roots()["ActiveRootID"]


async def test_a_given_key_alone_gets_a_root(wanted):
    key = make_key("ec", 384)
    authority = await open_authority(wanted, {"PrivateKey": dump_key(key)})
    (shown,) = authority.roots()["Roots"]
    root = x509.load_pem_x509_certificate(shown["RootCert"].encode())
    assert root.public_key() == key.public_key()
    assert shown["PrivateKeyBits"] == 384


async def test_of_5000_requests_at_once_every_one_has_its_leaf_within_120_seconds(
    wanted, csr, autojump_clock
):
    """At the default rate, which is the limit: the first second to the last, renewals behind newcomers."""
    authority = await open_authority(wanted, {})
    asked, done = authority.read(csr(web_uri(authority))), {True: [], False: []}

    async def ask(newcomer):
        leaf = await authority.issue(asked, newcomer=newcomer)
        done[newcomer].append((trio.current_time(), leaf.serial))

    async with trio.open_nursery() as nursery:
        for number in range(5000):
            nursery.start_soon(ask, number % 2 == 0)
    times = [when for found in done.values() for when, _ in found]
    assert (len(times), max(times) <= 120) == (5000, True)
    # Signatures are made in threads, forty at a time, for which the clock does not wait: some are late.
    nearly_all = sorted(when for when, _ in done[True])[-200]
    early = [when for when, _ in done[False] if when < nearly_all]
    assert len(early) <= 50, "without precedence there are more than two thousand"
    assert len({serial for found in done.values() for _, serial in found}) == 5000


async def test_a_changed_lifetime_counts_from_the_next_leaf(wanted, csr):
    authority = await open_authority(wanted)
    other = await open_authority(wanted)
    await authority.configure({"LeafCertTTL": "1h", "CSRMaxPerSecond": 0})
    for one in (authority, other):
        leaf = await one.sign(csr(web_uri(one)))
        assert leaf.not_after - leaf.not_before == 3600
    assert authority.roots()["Roots"][0]["ModifyIndex"] == 1


async def test_the_same_configuration_again_is_no_change(wanted):
    authority = await open_authority(wanted)
    await authority.configure({"leaf_cert_ttl": "1h"})
    revision = wanted.state.revision
    await authority.configure({"LeafCertTTL": "1h"})
    assert wanted.state.revision == revision


async def test_a_bad_configuration_changes_nothing(wanted):
    authority = await open_authority(wanted)
    with pytest.raises(ConfigError):
        await authority.configure({"LeafCertTTL": "1m"})
    assert wanted.state.revision == 1


async def test_the_private_key_is_nowhere_but_in_its_table(wanted):
    authority = await open_authority(wanted, {"PrivateKey": dump_key(make_key("ec", 256))})
    assert "PRIVATE" not in repr([r.value for r in wanted.state.table(CA).values()])
    assert "PRIVATE" not in repr((authority.roots(), authority.config, authority.config_document()))
    (record,) = wanted.state.table(CA_KEYS).values()
    assert "PRIVATE" in record.value["pem"]
    assert "PRIVATE" not in repr(record)


async def test_a_ca_that_is_not_whole_says_what_is_missing(wanted):
    authority = await open_authority(wanted)
    root_id = authority.roots()["ActiveRootID"]
    await wanted.commit([Delete(table=CA_KEYS, key=root_id)])
    with pytest.raises(LockgateError, match=f"{CA_KEYS}/{root_id} is missing"):
        await open_authority(wanted)


async def test_on_disk_it_survives_a_restart(tmp_path, csr):
    roots, serials = [], []
    for _ in range(2):
        store = await open_store(tmp_path / "state")
        authority = await open_authority(await Wanted.open(store))
        roots.append(authority.roots())
        serials.append((await authority.sign(csr(web_uri(authority)))).serial)
        await store.aclose()
    assert roots[0] == roots[1]
    assert len(set(serials)) == 2
    assert stat.S_IMODE((tmp_path / "state" / "state.db").stat().st_mode) == 0o600
