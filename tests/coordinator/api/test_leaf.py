"""The one endpoint that returns a key: what it returns, to whom it stays the same, when it changes."""

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

LEAF = "/v1/agent/connect/ca/leaf/web"


async def test_a_leaf_with_its_key(get, authority):
    leaf = await get(LEAF)
    certificate = x509.load_pem_x509_certificate(leaf["CertPEM"].encode())
    key = load_pem_private_key(leaf["PrivateKeyPEM"].encode(), password=None)
    assert certificate.public_key() == key.public_key()
    assert leaf["Service"] == "web"
    assert leaf["ServiceURI"] == f"spiffe://{authority.trust_domain}/ns/default/dc/dc1/svc/web"
    assert leaf["ModifyIndex"] > 0


async def test_all_who_ask_share_it(get):
    assert await get(LEAF) == await get(LEAF)
    other = await get("/v1/agent/connect/ca/leaf/api")
    assert other["PrivateKeyPEM"] != (await get(LEAF))["PrivateKeyPEM"]


async def test_the_key_is_stored_nowhere(get, wanted):
    leaf = await get(LEAF)
    body = leaf["PrivateKeyPEM"].splitlines()[1]
    tables = [wanted.state.table(name) for name in ("ca", "ca_keys", "entries", "nodes")]
    assert body not in repr([record.value for table in tables for record in table.values()])


async def test_nobody_keeps_a_copy_on_the_way(api):
    assert (await api.get(LEAF)).headers["cache-control"] == "no-store"


async def test_a_blocking_query_ends_with_its_time(get, api, autojump_clock):
    first = await get(LEAF)
    params = {"index": str(first["ModifyIndex"]), "wait": "5m"}
    assert (await api.get(LEAF, params=params)).json() == first
    assert trio.current_time() >= 300


@pytest.mark.parametrize("service", ["*", "a*"])
async def test_what_is_no_service_is_refused(api, service):
    response = await api.get(f"/v1/agent/connect/ca/leaf/{service}")
    assert response.status_code == 400, response.text
    assert len(response.text.splitlines()) == 1
