"""Every mutating call is in the audit log: who, from where, what, and digests before and after."""

import dataclasses
import errno
import json

import pytest

from coordinator.audit.entry import announce
from coordinator.audit.log import AuditError, AuditLog
from coordinator.store.tables import ENTRIES

ENTRY = {"Kind": "service-defaults", "Name": "web", "Protocol": "http"}


@pytest.fixture
async def services(services, tmp_path):
    log = AuditLog(tmp_path)
    services.wanted.precede(announce)
    yield dataclasses.replace(services, audit=log)
    log.close()


@pytest.fixture
def lines(services):
    def lines():
        return [json.loads(text) for text in services.audit.path.read_text().splitlines()]

    return lines


async def test_a_write_is_announced_and_ended(manager, first, lines):
    await manager("PUT", "/v1/config", ENTRY)
    begun, ended = lines()[-2:]
    assert (begun["state"], ended["state"], ended["status"]) == ("begun", "ended", 200)
    assert begun["id"] == ended["id"]
    assert begun["who"] == f"token {first['AccessorID']}"
    assert begun["from"] == "127.0.0.1:123"
    assert (begun["method"], begun["path"], begun["at"]) == ("PUT", "/v1/config", 1_800_000_000.0)
    (change,) = begun["changes"]
    assert (change["kind"], change["name"], change["before"]) == (
        "entries",
        "service-defaults/web",
        "",
    )
    assert change["after"].startswith("sha256:")
    await manager("PUT", "/v1/config", ENTRY | {"Protocol": "grpc"})
    (second,) = lines()[-1]["changes"]
    assert second["before"] == change["after"]
    await manager("DELETE", "/v1/config/service-defaults/web")
    (third,) = lines()[-1]["changes"]
    assert (third["before"], third["after"]) == (second["after"], "")


async def test_refused_calls_are_in_it_too(stranger, manager, bearing, lines):
    await stranger("PUT", "/v1/config", ENTRY, status=403)
    ended = lines()[-1]
    assert (ended["who"], ended["status"], ended["changes"]) == ("anonymous", 403, [])
    await manager("PUT", "/v1/config", {"Kind": "nope"}, status=400)
    assert lines()[-1]["status"] == 400
    await bearing("no-such-secret")("PUT", "/v1/config", ENTRY, status=403)
    assert (lines()[-1]["who"], lines()[-1]["status"]) == ("nobody known", 403)


async def test_reading_is_not(manager, lines):
    before = lines()
    await manager("GET", "/v1/catalog/nodes")
    await manager("GET", "/v1/acl/tokens")
    assert lines() == before


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/lockgate/plan", {"entries": [ENTRY]}),
        ("/v1/lockgate/simulate", {"entries": [ENTRY]}),
        ("/v1/lockgate/explain?source=a&destination=b", {"entries": [ENTRY]}),
        ("/v1/discovery-chain/web", {"OverrideProtocol": "http"}),
    ],
)
async def test_nor_is_asking_with_a_body(manager, lines, path, body):
    before = lines()
    await manager("POST", path, body)
    assert lines() == before


async def test_no_secret_is_in_it(manager, first, services):
    made = await manager("PUT", "/v1/acl/token", {})
    text = services.audit.path.read_text()
    assert made["AccessorID"] in text
    assert made["SecretID"] not in text
    assert first["SecretID"] not in text


async def test_what_cannot_be_written_down_is_not_done(manager, services, monkeypatch):
    async def full(line):
        raise AuditError("the audit log cannot be written, so nothing was changed: full")

    monkeypatch.setattr(services.audit, "append_durably", full)
    text = await manager("PUT", "/v1/config", ENTRY, status=500)
    assert "so nothing was changed" in text
    assert services.wanted.state.table(ENTRIES) == {}


async def test_status_says_that_changes_are_refused_and_why(manager, services, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(services.audit, "_write", full)
        await manager("PUT", "/v1/config", ENTRY, status=500)
    status = await manager("GET", "/v1/lockgate/status")
    assert status["audit_failed"] == "No space left on device"
    await manager("PUT", "/v1/config", ENTRY)
    assert (await manager("GET", "/v1/lockgate/status"))["audit_failed"] == ""


async def test_many_changes_are_told_by_the_first_and_a_digest(manager, lines):
    node = {"Node": "n1", "Address": "10.0.0.1"}
    for number in range(120):
        body = node | {"Service": {"ID": f"s{number}", "Service": "web"}}
        await manager("PUT", "/v1/catalog/register", body)
    await manager("PUT", "/v1/catalog/deregister", {"Node": "n1"})
    ended = lines()[-1]
    assert (len(ended["changes"]), ended["changes_total"]) == (100, 121)
    assert ended["changes_digest"].startswith("sha256:")


async def test_the_endpoint_shows_the_last_calls(manager, with_rules, stranger):
    await manager("PUT", "/v1/config", ENTRY)
    calls = await manager("GET", "/v1/lockgate/audit", params={"n": "1"})
    assert [(call["path"], call["status"]) for call in calls] == [("/v1/config", 200)]
    operator = await with_rules('operator = "read"')
    assert len(await operator("GET", "/v1/lockgate/audit")) > 1
    await stranger("GET", "/v1/lockgate/audit", status=403)
    for wrong in ("0", "x", "10001", "-1"):
        await manager("GET", "/v1/lockgate/audit", params={"n": wrong}, status=400)
