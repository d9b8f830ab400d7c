"""status, connections, history, explain, keygen, nodes, connect."""

import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cluster.keyfile import read_key_file
from tests.fakes.api import NODE

LIVE = {
    "id": "n1/0/1",
    "node": "n1",
    "worker": 0,
    "gateway": "egress",
    "kind": "terminating",
    "source": "web",
    "destination": "billing",
    "sni": "billing.x",
    "endpoint": "10.0.0.5:5432",
    "state": "open",
    "age_seconds": 3.2,
    "bytes_up": 10,
    "bytes_down": 5 << 20,
    "generation": 7,
}


async def test_status_as_table_and_json(lockgate, services):
    empty = await lockgate("status")
    assert "No node has connected yet." in empty.out
    services.fleet.nodes = [NODE | {"problems": ["no leaf"]}]
    table = await lockgate("status")
    assert "p50 12.0 ms" in table.out
    assert ["n1", "current", "7", "pure", "1"] in [line.split() for line in table.out.splitlines()]
    assert ["n1", "0", "12", "7", "1", "0"] in [line.split() for line in table.out.splitlines()]
    assert "Node n1: no leaf" in table.out
    found = (await lockgate("status", "-format=json")).json
    assert (found["nodes"], found["audit_failed"]) == (services.fleet.nodes, "")


async def test_connections_list_and_close(lockgate, services):
    services.fleet.live = [LIVE, LIVE | {"id": "n1/0/2", "source": "ap\x1b[31mi"}]
    table = (await lockgate("connections", "list")).out
    assert "5.0MiB" in table
    assert "\x1b" not in table
    one = await lockgate("connections", "list", "-source", "web", "-format=json")
    assert one.json == [LIVE]
    assert (await lockgate("connections", "close", "n1/0/2")).out == "Closed: 1\n"
    by_pair = await lockgate(
        "connections", "close", "-source", "web", "-destination", "billing", "-format=json"
    )
    assert by_pair.json == {"closed": ["n1/0/1"]}
    assert services.fleet.closed == ["n1/0/2", "n1/0/1"]
    assert "no such connection" in (await lockgate("connections", "close", "x", status=1)).err


async def test_history(lockgate):
    assert (await lockgate("history")).out.splitlines()[1].split()[0] == "7"
    assert (await lockgate("history", "-format=json")).json[0]["digest"] == "d1"


async def test_explain_says_that_nothing_leads_there(lockgate):
    """Whether or not it would be allowed: a mistyped name is denied by the default like any other."""
    told = (await lockgate("explain", "-source", "web", "-destination", "nosuch")).out
    assert "Reached:      by nobody in the mesh: nothing that leads to it is registered" in told


async def test_explain_names_the_rule(lockgate, file):
    text = 'Kind = "terminating-gateway"\nName = "egress"\nServices = [{ Name = "billing" }]\n'
    await lockgate("config", "write", file("egress.hcl", text))
    await lockgate("services", "register", file("b.hcl", 'service { name = "billing" port = 1 }'))
    await lockgate("intention", "create", "-deny", "web", "billing")
    told = await lockgate("explain", "-source", "web", "-destination", "billing")
    assert "denied by the intention web => billing (precedence 9)" in told.out
    assert "egress" in told.out
    assert "127.0.0.1:1" in told.out
    answer = (await lockgate("explain", "-source=api", "-destination=billing", "-format=json")).json
    assert answer["decision"]["default"] is True
    by_sni = await lockgate(
        "explain", "-source=api", "-sni", answer["route"]["sni"], "-format=json"
    )
    assert by_sni.json == answer


async def test_keygen_writes_the_secret_and_prints_the_public_key(alone, tmp_path):
    out = tmp_path / "bus.key"
    ended = await alone("keygen", "-out", out)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    pair = read_key_file(out)
    assert ended.out.strip() == pair.public_key
    assert pair.secret_key not in ended.out + ended.err
    again = await alone("keygen", "-out", out)
    assert (again.status, again.out, "File exists" in again.err) == (1, "", True)
    assert read_key_file(out) == pair


@pytest.mark.parametrize("first", ["r", "-"])
async def test_nodes_allow_list_revoke(lockgate, first):
    key = first + "q:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
    assert len(key) == 40
    assert (await lockgate("nodes", "allow", "gw1", key)).out == "Node allowed: gw1\n"
    assert (await lockgate("nodes", "list")).out.splitlines()[1].split() == ["gw1", key]
    assert (await lockgate("nodes", "list", "-format=json")).json[0]["public_key"] == key
    await lockgate("nodes", "revoke", "gw1")
    assert "'gw1'" in (await lockgate("nodes", "revoke", "gw1", status=1)).err
    assert "40 characters" in (await lockgate("nodes", "allow", "gw1", "short", status=1)).err


async def test_connect_leaf_writes_chain_key_and_roots(lockgate, tmp_path, services):
    out = tmp_path / "tls"
    files = (await lockgate("connect", "leaf", "-service", "web", "-out", out, "-format=json")).json
    assert files["cert"] == str(out / "web.crt")
    key_file = out / "web.key"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    leaf = x509.load_pem_x509_certificate((out / "web.crt").read_bytes())
    root = x509.load_pem_x509_certificate((out / "roots.pem").read_bytes())
    leaf.verify_directly_issued_by(root)
    key = load_pem_private_key(key_file.read_bytes(), password=None)
    assert key.public_key() == leaf.public_key()
    san = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    expected = f"spiffe://{services.authority.trust_domain}/ns/default/dc/dc1/svc/web"
    assert san.get_values_for_type(x509.UniformResourceIdentifier) == [expected] == [files["uri"]]
    await lockgate("connect", "leaf", "-service", "web", "-out", out)
    assert {path.name for path in out.iterdir()} == {"web.crt", "web.key", "roots.pem"}


async def test_a_leaf_for_a_name_that_is_a_path_writes_nothing(lockgate, tmp_path):
    refused = await lockgate(
        "connect", "leaf", "-service", "../x", "-out", tmp_path / "tls", status=1
    )
    assert "cannot be a file's name" in refused.err
    assert not (tmp_path / "tls").exists()


async def test_connect_ca(lockgate):
    assert "active" in (await lockgate("connect", "ca", "roots")).out
    assert "BEGIN CERTIFICATE" in (await lockgate("connect", "ca", "roots", "-pem")).out
    assert (await lockgate("connect", "ca", "roots", "-format=json")).json["TrustDomain"]
    assert (await lockgate("connect", "ca", "get-config")).json["Provider"] == "consul"


async def test_connect_ca_rotate_and_set_config(lockgate, tmp_path, services):
    before = services.authority.roots()["ActiveRootID"]
    rotated = await lockgate("connect", "ca", "rotate", "-format=json")
    assert rotated.json["rotated"]
    assert rotated.json["active_root"] == services.authority.roots()["ActiveRootID"] != before
    file = tmp_path / "ca.json"
    file.write_text('{"Provider": "consul", "Config": {"LeafCertTTL": "24h"}}')
    done = await lockgate("connect", "ca", "set-config", "-config-file", file)
    assert done.out == "Configuration updated!\n"
    shown = (await lockgate("connect", "ca", "get-config")).json
    assert shown["Config"]["LeafCertTTL"] == "24h"
    bits = await lockgate(
        "connect", "ca", "set-config", "-config-file", "-", stdin='{"PrivateKeyBits": 384}'
    )
    assert "The active root is now" in bits.out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "Expecting property name"),
        ("[]", "expected a JSON object"),
        ('{"LeafCertTTL": "1s"}', "LeafCertTTL: 1s must be at least 1h"),
        ('{"Speed": 1}', "Speed: is no setting of the built-in CA"),
    ],
)
async def test_connect_ca_set_config_names_what_is_wrong(lockgate, tmp_path, content, words):
    file = tmp_path / "ca.json"
    file.write_text(content)
    done = await lockgate("connect", "ca", "set-config", "-config-file", file, status=1)
    assert words in done.err
    assert len(done.err.splitlines()) == 1


async def test_explain_a_connection_a_request_and_a_plan(lockgate, services, file):
    closed = LIVE | {"state": "closed", "end": "denied", "opened_at": 1.0, "closed_at": 2.0}
    closed |= {"detail": "so it was said"}
    decision = {"allowed": False, "rule": None, "default": True, "precedence": 0, "reason": "no"}
    services.fleet.ended = [closed | {"decision": decision}]
    out = (await lockgate("explain", "-connection", "n1/0/1")).out
    assert "denied at generation 7" in out
    assert "1970-01-01T00:00:02Z" in out
    assert "Intentions: ask" in out
    assert "Because:        so it was said" in out
    assert "Now:" in out
    pair = ("explain", "-source", "web", "-destination", "billing")
    asked = (await lockgate(*pair, "-path", "/x", "-header", "a:b")).out
    assert "Request:" in asked
    text = 'Kind = "service-intentions"\nName = "billing"\nSources = [{ Name = "web", Action = "allow" }]'
    planned = await lockgate(*pair, "-plan", file("allow.hcl", text))
    assert planned.out.splitlines()[0].split() == ["Decision:", "allowed"]
    assert (await lockgate(*pair)).out.splitlines()[0].split() == ["Decision:", "denied"]
    both = await lockgate(*pair, "-connection", "x", status=1)
    assert "stands alone" in both.err
    listed = (await lockgate("connections", "list", "-closed")).out
    assert "denied" in listed


async def test_a_nodes_token_is_printed_or_written_for_its_owner_alone(lockgate, tmp_path):
    printed = await lockgate("nodes", "token", "gw1")
    assert len(printed.out.strip()) == 40
    file = tmp_path / "gw1.token"
    written = await lockgate("nodes", "token", "gw1", "-ttl", "10m", "-out", file)
    assert written.out == f"Token for gw1 written to {file}\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(file.read_text().strip()) == 40
    for name, ttl in (("a/b", "1h"), ("gw1", "30s"), ("gw1", "200h"), ("gw1", "x")):
        await lockgate("nodes", "token", name, "-ttl", ttl, status=1)
