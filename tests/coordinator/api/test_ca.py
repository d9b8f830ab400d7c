import pytest
from cryptography import x509

from cluster.identity import ServiceId
from cluster.keys import csr_pem, new_key_pem

SIGN = "/v1/lockgate/connect/sign"


@pytest.fixture
def csr(authority):
    def csr(service="web", trust_domain=None):
        domain = trust_domain or authority.trust_domain
        identity = ServiceId(trust_domain=domain, service=service, datacenter="dc1")
        return csr_pem(new_key_pem(), identity.uri).decode()

    return csr


async def test_roots_as_json_and_as_pem(get, api, authority):
    roots = await get("/v1/connect/ca/roots")
    assert roots == await get("/v1/agent/connect/ca/roots")
    assert roots["TrustDomain"] == authority.trust_domain
    pem = await api.get("/v1/connect/ca/roots", params={"pem": "true"})
    assert pem.headers["content-type"] == "application/pem-certificate-chain"
    assert x509.load_pem_x509_certificate(pem.content)
    assert int(pem.headers["X-Consul-Index"]) >= 1


async def test_the_configuration_holds_no_key(get):
    configuration = await get("/v1/connect/ca/configuration")
    assert configuration["Provider"] == "consul"
    assert configuration["ModifyIndex"] > 0
    assert "PRIVATE" not in str(configuration)


async def test_a_csr_becomes_a_leaf(api, csr, authority):
    leaf = (await api.post(SIGN, json={"csr": csr()})).json()
    assert leaf["Service"] == "web"
    assert leaf["ServiceURI"].endswith("/ns/default/dc/dc1/svc/web")
    certificate = x509.load_pem_x509_certificate(leaf["CertPEM"].encode())
    root = x509.load_pem_x509_certificate(authority.roots()["Roots"][0]["RootCert"].encode())
    certificate.verify_directly_issued_by(root)
    assert certificate.serial_number == int(leaf["SerialNumber"].replace(":", ""), 16)
    assert leaf["ValidBefore"] > leaf["ValidAfter"]
    assert "PrivateKeyPEM" not in leaf


async def test_a_csr_of_another_trust_domain_is_refused(api, csr):
    response = await api.post(SIGN, json={"CSR": csr(trust_domain="elsewhere.consul")})
    assert (response.status_code, "trust domain" in response.text) == (400, True)


@pytest.mark.parametrize("body", [{}, {"CSR": 5}, {"CSR": "no pem"}, {"CSR": ""}, [], "x"])
async def test_what_is_no_csr_is_refused(api, body):
    response = await api.post(SIGN, json=body)
    assert response.status_code == 400
    assert len(response.text.splitlines()) == 1


async def test_a_full_queue_asks_to_come_back(services, api, csr, monkeypatch):
    from coordinator.ca.admission import SigningQueueFull

    async def full(asked, *, newcomer):
        raise SigningQueueFull("20000 requests wait already")

    monkeypatch.setattr(services.authority, "issue", full)
    response = await api.post(SIGN, json={"CSR": csr()})
    assert (response.status_code, response.text) == (429, "20000 requests wait already")


CONFIGURATION = "/v1/connect/ca/configuration"


async def test_a_configuration_is_changed_without_a_new_root(api, get):
    root = (await get("/v1/connect/ca/roots"))["ActiveRootID"]
    response = await api.put(
        CONFIGURATION, json={"Provider": "consul", "Config": {"leaf_cert_ttl": "24h"}}
    )
    assert (response.status_code, response.content) == (200, b"")
    assert (await get(CONFIGURATION))["Config"]["LeafCertTTL"] == "24h"
    assert (await get("/v1/connect/ca/roots"))["ActiveRootID"] == root


async def test_what_was_shown_may_be_put_back(api, get, wanted):
    shown = await get(CONFIGURATION)
    revision = wanted.state.revision
    assert (await api.put(CONFIGURATION, json=shown)).status_code == 200
    assert wanted.state.revision == revision


async def test_another_kind_of_key_rotates_the_root(api, get):
    before = await get("/v1/connect/ca/roots")
    body = {"Provider": "consul", "Config": {"PrivateKeyBits": 384}}
    assert (await api.put(CONFIGURATION, json=body)).status_code == 200
    after = await get("/v1/connect/ca/roots")
    assert [root["Active"] for root in after["Roots"]] == [True, False]
    assert after["Roots"][1]["ID"] == before["ActiveRootID"]
    assert after["Roots"][0]["PrivateKeyBits"] == 384


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"Provider": "vault", "Config": {}}, 500, "unknown CA provider 'vault'"),
        ({"Provider": "consul"}, 400, "Config must be an object"),
        ({"Config": {"LeafCertTTL": "1m"}}, 500, "LeafCertTTL: 1m0s must be at least 1h"),
        ({"Config": {"RootCert": "x"}}, 500, "RootCert: needs PrivateKey"),
    ],
)
async def test_a_bad_configuration_names_its_problem(api, wanted, body, status, words):
    revision = wanted.state.revision
    response = await api.put(CONFIGURATION, json=body)
    assert (response.status_code, words in response.text) == (status, True), response.text
    assert wanted.state.revision == revision


async def test_rotate_makes_a_new_root(api, get):
    before = (await get("/v1/connect/ca/roots"))["ActiveRootID"]
    answer = (await api.post("/v1/lockgate/ca/rotate", json={})).json()
    assert answer == await get("/v1/connect/ca/roots")
    assert answer["ActiveRootID"] != before


async def test_a_root_that_was_rotated_out_can_be_distrusted(api, get):
    url = "/v1/lockgate/ca/distrust"
    old = (await get("/v1/connect/ca/roots"))["ActiveRootID"]
    refused = await api.post(url, json={"RootID": old})
    assert (refused.status_code, "is the active root" in refused.text) == (400, True)
    await api.post("/v1/lockgate/ca/rotate", json={})
    answer = (await api.post(url, json={"RootID": old})).json()
    assert answer["Distrusted"] == [old]
    shown = await get("/v1/connect/ca/roots")
    assert answer["Roots"] == shown["Roots"]
    assert [root["Active"] for root in shown["Roots"]] == [True]
    assert (await api.post(url, json={"RootID": old})).status_code == 404
    assert (await api.post(url, json={})).status_code == 400
