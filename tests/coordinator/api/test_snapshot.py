"""`/v1/snapshot`: the whole state out and in again, atomically, by real stores and a real process."""

import stat
import subprocess
import sys

import httpx
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.store.memory import MemoryStore
from coordinator.store.records import Delete, Put, Record
from coordinator.store.saved import (
    Saved,
    SavedError,
    decode_saved,
    encode_saved,
    restoring,
    saved_state,
)
from coordinator.store.wanted import Wanted
from tests.fakes.api import make_services
from tests.harness.coordinator import coordinator, place

ALLOW = {"source": "web", "destination": "db"}
CA_RECORD = Record(table="ca", key="state", value={"x": 1}, create_index=1, modify_index=1)


def contents(state):
    return {
        (r.table, r.key): r.value
        for r in state.records()
        if r.table not in ("versions", "ca_serial")
    }


async def fill(api, put):
    await put("/v1/connect/intentions/exact", {"Action": "allow"}, **ALLOW)
    await put("/v1/catalog/register", {"Node": "n1", "Address": "10.0.0.1"})
    await api.put("/v1/kv/app/a", content=b"\x00\xff")


async def test_what_is_restored_is_what_was_saved(api, put, wanted):
    await fill(api, put)
    before = contents(wanted.state)
    saved = (await api.get("/v1/snapshot")).content
    roots = (await api.get("/v1/connect/ca/roots")).json()["ActiveRootID"]
    await put("/v1/connect/intentions/exact", {"Action": "deny"}, **ALLOW)
    await api.put("/v1/kv/app/b", content=b"1")
    await api.delete("/v1/kv/app/a")
    await api.post("/v1/lockgate/ca/rotate", json={})
    revision = wanted.state.revision
    response = await api.put("/v1/snapshot", content=saved)
    assert (response.status_code, response.content) == (200, b"")
    assert contents(wanted.state) == before
    assert wanted.state.revision == revision + 1
    assert (await api.get("/v1/connect/ca/roots")).json()["ActiveRootID"] == roots


async def test_a_write_that_is_under_way_does_not_outlive_the_restoration(api, put, wanted):
    await fill(api, put)
    before = contents(wanted.state)
    saved = (await api.get("/v1/snapshot")).content
    go = trio.Event()

    async def announce(effect, state):
        if any(record.key == "late" for record in effect.written):
            await go.wait()

    wanted.precede(announce)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: api.put("/v1/kv/late", content=b"x"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(lambda: api.put("/v1/snapshot", content=saved))
        await trio.testing.wait_all_tasks_blocked(0.2)
        go.set()
    assert contents(wanted.state) == before


async def test_another_coordinator_takes_it_and_its_revisions_go_on_from_there(api, put, wanted):
    await fill(api, put)
    for n in range(20):
        await api.put("/v1/kv/n", content=str(n))
    saved = decode_saved((await api.get("/v1/snapshot")).content)
    services = await make_services()
    await services.wanted.commit(restoring(saved, services.wanted.state), beyond=saved.revision)
    assert contents(services.wanted.state) == contents(wanted.state)
    assert services.wanted.state.revision == saved.revision + 1
    assert services.authority.roots()["Roots"] != []


async def test_no_serial_number_is_given_twice(api, wanted):
    """Neither one that was given here since, nor one that the coordinator gave that saved the file."""
    await wanted.commit([Put(table="ca_serial", key="next", value={"next": 5000})])
    saved = (await api.get("/v1/snapshot")).content
    await wanted.commit([Put(table="ca_serial", key="next", value={"next": 9000})])
    await api.put("/v1/snapshot", content=saved)
    assert wanted.state.get("ca_serial", "next").value["next"] == 9000 + 2**32


async def test_who_waits_wakes_and_no_index_goes_back(api, put, wanted):
    """On the real clock: one that jumps does not see the thread that reads the file."""
    await fill(api, put)
    saved = (await api.get("/v1/snapshot")).content
    paths = ["/v1/kv/app/a", "/v1/kv/?keys", "/v1/connect/intentions", "/v1/catalog/nodes"]
    await api.delete("/v1/kv/app/a")
    await put("/v1/connect/intentions/exact", {"Action": "deny"}, **ALLOW)
    await put("/v1/catalog/register", {"Node": "n2", "Address": "10.0.0.2"})
    woken = {}

    async def wait(path, index):
        join = "&" if "?" in path else "?"
        response = await api.get(f"{path}{join}index={index}&wait=5m")
        woken[path] = int(response.headers["X-Consul-Index"]) - index

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for path in paths:
                index = int((await api.get(path)).headers["X-Consul-Index"])
                nursery.start_soon(wait, path, index)
            await trio.testing.wait_all_tasks_blocked()
            await api.put("/v1/snapshot", content=saved)
    assert all(more > 0 for more in woken.values()), woken


async def test_the_restoration_can_be_rolled_back(api, put, get):
    await fill(api, put)
    saved = (await api.get("/v1/snapshot")).content
    await put("/v1/connect/intentions/exact", {"Action": "deny"}, **ALLOW)
    await api.put("/v1/snapshot", content=saved)
    rows = [row for row in await get("/v1/lockgate/history") if row["changes"]]
    found = rows[0]["changes"][-1]
    assert found["note"].startswith("restored the snapshot of revision")
    assert [one["name"] for one in found["entries"]] == ["db"]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda whole: whole[:-1], "is damaged"),
        (lambda whole: whole + b"x", "is damaged"),
        (lambda whole: whole[:200] + bytes([whole[200] ^ 1]) + whole[201:], "is damaged"),
        (lambda whole: whole.replace(b"snapshot 1", b"snapshot 9", 1), "has format '9'"),
        (lambda whole: b"", "no snapshot"),
        (lambda whole: b"PK\x03\x04" + whole, "no snapshot"),
        (lambda whole: whole.split(b"\n")[0], "no snapshot"),
        (lambda whole: _packed(datacenter="dc2"), "is of datacenter 'dc2'"),
        (lambda whole: _packed(records=()), "holds no certificate authority"),
    ],
)
async def test_a_file_that_is_not_whole_changes_nothing(api, put, wanted, damage, reason):
    await fill(api, put)
    whole = (await api.get("/v1/snapshot")).content
    before, revision = contents(wanted.state), wanted.state.revision
    response = await api.put("/v1/snapshot", content=damage(whole))
    assert (response.status_code, reason in response.text) == (400, True), response.text
    assert (contents(wanted.state), wanted.state.revision) == (before, revision)


def _packed(datacenter="dc1", records=(CA_RECORD,)):
    return encode_saved(
        Saved(datacenter=datacenter, revision=1, at=0.0, lockgate="1", records=records)
    )


@given(cut=st.integers(0, 400), flip=st.integers(0, 255))
@settings(max_examples=60)
def test_any_damage_is_noticed(cut, flip):
    whole = _packed()
    at = cut % len(whole)
    broken = whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :]
    if broken == whole:
        assert decode_saved(broken).records == (CA_RECORD,)
    else:
        with pytest.raises(SavedError):
            decode_saved(broken)


_VALUES = st.fixed_dictionaries({"v": st.integers(0, 3)})
_STATES = st.dictionaries(
    st.tuples(st.sampled_from(["kv", "entries", "ca"]), st.sampled_from("abc")), _VALUES
)


@given(_STATES, _STATES)
@settings(max_examples=60)
def test_from_any_state_to_any_other(first, second):
    async def check():
        wanted = await Wanted.open(MemoryStore())
        await _become(wanted, first)
        saved = saved_state(wanted.state.snapshot(), datacenter="dc1", at=0.0, lockgate="1")
        await _become(wanted, second)
        indexes = [wanted.state.key_index(*place) for place in {**first, **second}]
        await wanted.commit(restoring(saved, wanted.state), beyond=saved.revision)
        assert contents(wanted.state) == first
        after = [wanted.state.key_index(*place) for place in {**first, **second}]
        assert all(new >= old for new, old in zip(after, indexes, strict=True))

    trio.run(check)


async def _become(wanted, records):
    gone = [Delete(table=t, key=k) for t, k in contents(wanted.state) if (t, k) not in records]
    await wanted.commit([*gone, *(Put(table=t, key=k, value=v) for (t, k), v in records.items())])


@pytest.mark.slow
def test_the_command_line_and_a_real_process():
    with place() as folder, coordinator(folder, admin_socket=f"{folder}/admin.sock") as running:
        file = folder / "backup"

        def lockgate(*arguments, status=0):
            done = subprocess.run(
                [sys.executable, "-I", "-m", "coordinator.cli", *arguments],
                env={"LOCKGATE_HTTP_ADDR": f"unix://{folder}/admin.sock", "PATH": "/usr/bin:/bin"},
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert done.returncode == status, done.stderr
            return done.stdout + done.stderr

        with httpx.Client(base_url=f"http://127.0.0.1:{running.port}") as api:
            api.put("/v1/kv/a", content=b"1")
            assert lockgate("snapshot", "save", str(file)).startswith(f"Saved: {file}, revision ")
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            api.put("/v1/kv/a", content=b"2")
            assert "Restored: " in lockgate("snapshot", "restore", str(file))
            assert api.get("/v1/kv/a?raw").content == b"1"
            shown = lockgate("snapshot", "inspect", str(file))
            assert "ca_keys" in shown
            assert "dc1" in shown
            assert '"kv": 1' in lockgate("--format", "json", "snapshot", "inspect", str(file))
            file.write_bytes(file.read_bytes()[:-3])
            assert "is damaged" in lockgate("snapshot", "restore", str(file), status=1)
            assert api.get("/v1/kv/a?raw").content == b"1"
