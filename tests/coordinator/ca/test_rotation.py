"""Rotating the root: who believes whom before, during and after; what is kept and what is forgotten."""

import random
import subprocess

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cluster.identity import SigningId
from coordinator.ca.authority import PRUNE_EVERY_SECONDS, Authority
from coordinator.ca.keys import dump_key, make_key
from coordinator.ca.root import describe_root, make_root
from coordinator.ca.rotation import CROSS_SIGNED_SECONDS, RotationRefused, UnknownRoot
from coordinator.store.memory import MemoryStore
from coordinator.store.records import StoreFull
from coordinator.store.tables import CA, CA_KEYS
from coordinator.store.wanted import Wanted

NOW = 1_700_000_000.0
HOUR, DAY = 3600.0, 24 * 3600.0
UNLIMITED = {"CSRMaxPerSecond": 0}


class Clock:
    """Seconds since 1970, as the test says."""

    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def wanted():
    return await Wanted.open(MemoryStore())


@pytest.fixture
async def authority(wanted, clock):
    return await Authority.open(
        wanted, datacenter="dc1", config=UNLIMITED, now=clock, chance=random.Random(1)
    )


def roots(authority):
    return authority.roots()["Roots"]


async def leaf(authority, csr):
    uri = f"spiffe://{authority.trust_domain}/ns/default/dc/dc1/svc/web"
    return await authority.sign(csr(uri))


@pytest.fixture
def believes(tmp_path, clock):
    """Whether openssl accepts a chain with these roots at the clock's time."""

    def ask(signed, *trusted):
        first, *rest = signed.chain_pem.split(b"-----BEGIN CERTIFICATE-----")[1:]
        files = {
            "leaf": b"-----BEGIN CERTIFICATE-----" + first,
            "rest": b"".join(b"-----BEGIN CERTIFICATE-----" + pem for pem in rest),
            "roots": b"".join(root["RootCert"].encode() for root in trusted),
        }
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
        command = ["openssl", "verify", "-attime", str(int(clock.now)), "-CAfile", "roots"]
        command += ["-untrusted", "rest"] if rest else []
        done = subprocess.run([*command, "leaf"], cwd=tmp_path, capture_output=True, check=False)
        return done.returncode == 0

    return ask


async def test_new_leaves_are_believed_by_those_who_know_only_the_old_root(
    authority, csr, believes
):
    (old,) = roots(authority)
    before = await leaf(authority, csr)
    await authority.rotate()
    after = await leaf(authority, csr)
    active, rotated = roots(authority)
    assert (active["Active"], rotated["Active"], rotated["ID"]) == (True, False, old["ID"])
    for signed in (before, after):
        assert believes(signed, old)
        assert believes(signed, active, rotated)
    assert not believes(before, active)
    assert believes(after, active)


async def test_two_rotations_that_somebody_missed(authority, csr, believes):
    (first,) = roots(authority)
    await authority.rotate()
    await authority.rotate()
    assert believes(await leaf(authority, csr), first)
    assert len(roots(authority)[0]["IntermediateCerts"]) == 2


async def test_the_cross_signed_certificate(authority):
    (old,) = roots(authority)
    await authority.rotate()
    new = roots(authority)[0]
    (pem,) = new["IntermediateCerts"]
    cross = x509.load_pem_x509_certificate(pem.encode())
    root = x509.load_pem_x509_certificate(new["RootCert"].encode())
    issuer = x509.load_pem_x509_certificate(old["RootCert"].encode())
    cross.verify_directly_issued_by(issuer)
    assert (cross.subject, cross.public_key()) == (root.subject, root.public_key())
    assert cross.not_valid_after_utc.timestamp() == NOW + CROSS_SIGNED_SECONDS
    assert cross.serial_number != root.serial_number


async def test_the_old_key_is_gone_and_the_trust_domain_stays(authority, wanted):
    domain = authority.trust_domain
    await authority.rotate()
    (kept,) = wanted.state.table(CA_KEYS).values()
    assert kept.key == authority.roots()["ActiveRootID"]
    assert authority.trust_domain == domain
    assert [root.active for root in authority.trust_bundle().roots].count(True) == 1


@pytest.mark.parametrize(
    "change", [{"PrivateKeyBits": 384}, {"PrivateKeyType": "rsa", "PrivateKeyBits": 2048}]
)
async def test_another_kind_of_key_is_another_root(authority, csr, believes, change):
    old = roots(authority)[0]
    assert await authority.configure(UNLIMITED | change)
    new = roots(authority)[0]
    assert new["PrivateKeyBits"] == change["PrivateKeyBits"]
    signed = await leaf(authority, csr)
    assert believes(signed, old)
    assert believes(signed, new)
    assert not await authority.configure(UNLIMITED | change), "the same again is no change"


async def test_an_external_root(authority, csr, believes):
    old = roots(authority)[0]
    signing = SigningId(cluster_id=authority.trust_domain.partition(".")[0])
    key = make_key("ec", 256)
    root = make_root(key, signing=signing, serial=9, now=NOW, ttl_seconds=DAY, name_salt="given")
    pem = describe_root(root, key, external_trust_domain="").pem
    given = UNLIMITED | {"PrivateKey": dump_key(key), "RootCert": pem}
    assert await authority.configure(given)
    assert roots(authority)[0]["RootCert"] == pem
    signed = await leaf(authority, csr)
    assert believes(signed, old)
    assert believes(signed, roots(authority)[0])
    assert not await authority.configure(given)
    assert "PRIVATE" not in repr((authority.config_document(), authority.roots()))


async def test_an_external_root_that_has_expired_is_refused(authority, clock):
    signing = SigningId(cluster_id=authority.trust_domain.partition(".")[0])
    key = make_key("ec", 256)
    root = make_root(key, signing=signing, serial=9, now=NOW, ttl_seconds=HOUR, name_salt="given")
    pem = describe_root(root, key, external_trust_domain="").pem
    clock.now += HOUR
    with pytest.raises(RotationRefused, match="not now"):
        await authority.configure({"PrivateKey": dump_key(key), "RootCert": pem})
    assert len(roots(authority)) == 1


async def test_an_expired_root_cannot_vouch_unless_that_is_not_insisted_on(
    authority, clock, csr, believes
):
    clock.now += 20 * 365 * DAY
    with pytest.raises(RotationRefused, match="ForceWithoutCrossSigning"):
        await authority.rotate()
    assert len(roots(authority)) == 1
    await authority.rotate(force=True)
    new = roots(authority)[0]
    assert new["IntermediateCerts"] is None
    assert believes(await leaf(authority, csr), new)


async def test_an_old_root_is_pruned_after_twice_the_life_of_a_leaf(authority, wanted, clock):
    await authority.configure(UNLIMITED | {"LeafCertTTL": "1h", "PrivateKeyBits": 384})
    clock.now += 2 * HOUR - 1
    await authority.prune()
    assert len(roots(authority)) == 2
    clock.now += 1
    await authority.prune()
    (left,) = roots(authority)
    assert left["Active"]
    revision = wanted.state.revision
    await authority.prune()
    assert wanted.state.revision == revision


async def test_a_disk_without_room_stops_no_coordinator(authority, wanted, clock, autojump_clock):
    await authority.configure(UNLIMITED | {"LeafCertTTL": "1h", "PrivateKeyBits": 384})
    clock.now += 2 * HOUR
    has_room = False

    async def announce(effect, state):
        if not has_room:
            raise StoreFull("no room left")

    wanted.precede(announce)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(authority.keep_pruned)
        await trio.sleep(PRUNE_EVERY_SECONDS / 2)
        assert len(roots(authority)) == 2
        has_room = True
        await trio.sleep(PRUNE_EVERY_SECONDS)
        assert len(roots(authority)) == 1
        nursery.cancel_scope.cancel()


async def test_what_vouched_is_forgotten_when_it_has_expired(authority, clock):
    await authority.configure(UNLIMITED | {"LeafCertTTL": "8760h", "IntermediateCertTTL": "87600h"})
    await authority.rotate()
    clock.now += CROSS_SIGNED_SECONDS
    await authority.prune()
    active, old = roots(authority)
    assert active["IntermediateCerts"] is None
    assert not old["Active"], "leaves of the old root live for a year yet"


async def test_of_two_rotations_at_once_both_count(authority, wanted):
    other = await Authority.open(
        wanted, datacenter="dc1", config={}, now=lambda: NOW, chance=random.Random(2)
    )
    await authority.rotate()
    await other.rotate()
    assert len(roots(authority)) == 3
    assert authority.roots() == other.roots()
    assert len(wanted.state.table(CA)) == 2 + 3


async def test_a_distrusted_root_is_gone_at_once(authority, csr, believes, wanted):
    (old,) = roots(authority)
    before = await leaf(authority, csr)
    await authority.rotate()
    after = await leaf(authority, csr)
    assert await authority.distrust(old["ID"]) == (old["ID"],)
    (active,) = roots(authority)
    assert active["Active"]
    assert active["IntermediateCerts"] in ([], None)
    assert not believes(before, active)
    assert believes(after, active)
    assert believes(await leaf(authority, csr), active)
    assert [root.id for root in authority.trust_bundle().roots] == [active["ID"]]


async def test_what_vouched_for_a_distrusted_root_goes_with_it(authority, csr, believes, clock):
    """Who has the middle key shows what the first root signed for it: that must not do either."""
    (first,) = roots(authority)
    await authority.rotate()
    middle = roots(authority)[0]
    stolen = await leaf(authority, csr)
    assert believes(stolen, first)
    clock.now += HOUR
    await authority.rotate()
    assert set(await authority.distrust(middle["ID"])) == {middle["ID"], first["ID"]}
    assert not believes(stolen, *roots(authority))


async def test_an_older_root_that_vouches_no_more_stays(authority, clock):
    """The cross-signed certificate has ended: what the older root has signed itself is still good."""
    await authority.configure(UNLIMITED | {"LeafCertTTL": f"{10 * 24}h"})
    (first,) = roots(authority)
    await authority.rotate()
    middle = roots(authority)[0]
    clock.now += CROSS_SIGNED_SECONDS + HOUR
    await authority.rotate()
    assert await authority.distrust(middle["ID"]) == (middle["ID"],)
    assert first["ID"] in [root["ID"] for root in roots(authority)]


async def test_a_younger_root_is_not_touched(authority):
    (first,) = roots(authority)
    await authority.rotate()
    middle = roots(authority)[0]
    await authority.rotate()
    assert await authority.distrust(first["ID"]) == (first["ID"],)
    active = roots(authority)[0]
    assert [root["ID"] for root in roots(authority)] == [active["ID"], middle["ID"]]
    assert len(active["IntermediateCerts"]) == 1, "what the middle one signed"


async def test_the_active_root_is_not_distrusted(authority, wanted):
    (active,) = roots(authority)
    revision = wanted.state.revision
    with pytest.raises(RotationRefused, match="is the active root: rotate"):
        await authority.distrust(active["ID"])
    with pytest.raises(UnknownRoot, match="no root 'x'"):
        await authority.distrust("x")
    assert wanted.state.revision == revision


async def test_a_root_whose_key_is_still_the_active_ones_is_not_distrusted(authority):
    """A new certificate for the same key would be no help."""
    key = make_key("ec", 256)
    for serial in (1, 2):
        given = make_root(
            key,
            signing=authority.signer,
            serial=serial,
            now=NOW,
            ttl_seconds=400 * DAY,
            name_salt="abcdefgh",
        )
        pem = given.public_bytes(Encoding.PEM).decode()
        await authority.configure(UNLIMITED | {"PrivateKey": dump_key(key), "RootCert": pem})
    active, *others = roots(authority)
    (before,) = (root for root in others if root["SigningKeyID"] == active["SigningKeyID"])
    with pytest.raises(RotationRefused, match="rotate to another key first"):
        await authority.distrust(before["ID"])
