"""`/v1/kv` as Consul's clients use it."""

import base64
import dataclasses
from types import SimpleNamespace
from urllib.parse import quote

import httpx
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from coordinator.acl.authorizer import Authorizer
from coordinator.acl.rights import Access
from coordinator.acl.rules import Rule
from coordinator.acl.speaker import Speaker
from coordinator.api.app import make_app
from coordinator.publisher import TABLES


@pytest.fixture
def write(api):
    async def write(key, value=b"x", **params):
        response = await api.put(f"/v1/kv/{key}", content=value, params=params)
        assert response.status_code == 200, response.text
        return response.json()

    return write


@pytest.fixture
def read(api):
    async def read(key, **params):
        return await api.get(f"/v1/kv/{key}", params=params)

    return read


def index_of(response):
    return int(response.headers["X-Consul-Index"])


async def test_a_value_is_read_as_it_was_written(write, read):
    assert await write("app/name", b"\x00\xff web", flags=42) is True
    (entry,) = (await read("app/name")).json()
    index = entry["ModifyIndex"]
    assert entry == {
        "LockIndex": 0,
        "Key": "app/name",
        "Flags": 42,
        "Value": base64.b64encode(b"\x00\xff web").decode(),
        "CreateIndex": index,
        "ModifyIndex": index,
    }
    raw = await read("app/name", raw="")
    assert (raw.content, raw.headers["Content-Type"]) == (
        b"\x00\xff web",
        "text/plain; charset=utf-8",
    )
    assert raw.headers["Content-Security-Policy"] == "sandbox"


async def test_an_empty_value_is_null(write, read):
    await write("empty", b"")
    assert (await read("empty")).json()[0]["Value"] is None
    assert (await read("empty", raw="")).content == b""


@pytest.mark.parametrize("key", ["a b", "ü/ö", "a%2Fb", "deep/er/", "q?x", "a//b"])
async def test_any_name_may_be_a_key(api, key):
    path = f"/v1/kv/{quote(key, safe='/')}"
    assert (await api.put(path, content=b"1")).json() is True
    assert (await api.get(path)).json()[0]["Key"] == key


async def test_what_is_not_there_is_404_with_an_index(read):
    for params in ({}, {"recurse": ""}, {"keys": ""}, {"raw": ""}):
        response = await read("none", **params)
        assert (response.status_code, response.content, index_of(response) >= 1) == (404, b"", True)


async def test_prefixes(write, read):
    for key in ("b", "a/2", "a/1", "ab", "a/c/1", "a/c/2"):
        await write(key)
    found = (await read("a", recurse="")).json()
    assert [one["Key"] for one in found] == ["a/1", "a/2", "a/c/1", "a/c/2", "ab"]
    assert (await read("a/", keys="")).json() == ["a/1", "a/2", "a/c/1", "a/c/2"]
    assert (await read("a/", keys="", separator="/")).json() == ["a/1", "a/2", "a/c/"]
    assert (await read("", keys="", separator="/")).json() == ["a/", "ab", "b"]
    assert len((await read("", recurse="")).json()) == 6


async def test_no_keys_at_all_are_an_empty_list(read):
    assert (await read("", keys="")).json() == []


async def test_check_and_set(write, read, api):
    assert await write("k", b"1", cas=0) is True
    assert await write("k", b"2", cas=0) is False
    index = (await read("k")).json()[0]["ModifyIndex"]
    assert await write("k", b"2", cas=index + 1) is False
    assert await write("k", b"2", cas=index) is True
    assert (await read("k", raw="")).content == b"2"
    assert (await api.delete("/v1/kv/k", params={"cas": index})).json() is False
    index = (await read("k")).json()[0]["ModifyIndex"]
    assert (await api.delete("/v1/kv/k", params={"cas": index})).json() is True
    assert (await read("k")).status_code == 404
    assert (await api.delete("/v1/kv/k", params={"cas": index})).json() is True


async def test_writing_the_same_again_is_no_change(write, read):
    await write("k", b"1")
    before = (await read("k")).json()
    await write("k", b"1")
    assert (await read("k")).json() == before


async def test_deleting(write, read, api):
    for key in ("a/1", "a/2", "ab", "b"):
        await write(key)
    assert (await api.delete("/v1/kv/b")).json() is True
    assert (await api.delete("/v1/kv/a/", params={"recurse": ""})).json() is True
    assert (await read("", keys="")).json() == ["ab"]
    assert (await api.delete("/v1/kv/", params={"recurse": ""})).json() is True
    assert (await read("", keys="")).json() == []


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/v1/kv/", 400, "Missing key name"),
        ("PUT", "/v1/kv/", 400, "Missing key name"),
        ("DELETE", "/v1/kv/", 400, "Missing key name"),
        ("PUT", "/v1/kv/k?flags=-1", 400, "Invalid flags"),
        ("PUT", f"/v1/kv/k?flags={2**64}", 400, "Invalid flags"),
        ("PUT", "/v1/kv/k?cas=x", 400, "Error parsing cas"),
        ("PUT", "/v1/kv/k?acquire=1234", 501, "there are no sessions"),
        ("PUT", "/v1/kv/k?release=1234", 501, "there are no sessions"),
        ("DELETE", "/v1/kv/k?recurse&cas=1", 400, "Conflicting flags"),
        ("POST", "/v1/kv/k", 405, "not allowed"),
    ],
)
async def test_what_cannot_be_done_is_said(api, method, path, status, text):
    response = await api.request(method, path)
    assert (response.status_code, text in response.text) == (status, True), response.text


async def test_large_flags_are_kept(write, read):
    await write("k", flags=2**64 - 1)
    assert (await read("k")).json()[0]["Flags"] == 2**64 - 1


async def test_no_snapshot_is_composed_for_a_write(write, wanted):
    before = [wanted.state.table_index(table) for table in TABLES]
    await write("k")
    assert [wanted.state.table_index(table) for table in TABLES] == before


@pytest.mark.parametrize("params", [{}, {"recurse": ""}, {"keys": ""}])
async def test_changes_elsewhere_neither_wake_nor_move_the_index(
    write, read, api, params, autojump_clock
):
    await write("mine/a")
    asked = "mine/" if params else "mine/a"
    index = index_of(await read(asked, **params))
    started = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: read(asked, index=index, wait="8s", **params))
        await wait_all_tasks_blocked()
        await write("other")
        await write("mine/a", b"x")  # the same as before
        await api.delete("/v1/kv/other")
        if not params:
            await write("mine/abc")
    assert trio.current_time() - started >= 8
    expected = index if params else index_of(await read("mine/a"))
    assert index_of(await read(asked, **params)) == expected


@pytest.mark.parametrize("params", [{}, {"recurse": ""}, {"keys": ""}])
async def test_every_change_wakes_and_moves_the_index_on(write, read, api, params, autojump_clock):
    asked = "mine/" if params else "mine/a"
    changes = [
        lambda: write("mine/a", b"1"),
        lambda: write("mine/a", b"2"),
        lambda: api.delete("/v1/kv/mine/a"),
        lambda: write("mine/a", b"3"),
        lambda: api.delete("/v1/kv/mine/", params={"recurse": ""}),
    ]
    index = index_of(await read(asked, **params))
    for change in changes:
        async with trio.open_nursery() as nursery:
            answers = []

            async def wait(index=index, answers=answers):
                answers.append(await read(asked, index=index, **params))

            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            await change()
        assert index_of(answers[0]) > index
        index = index_of(answers[0])
    assert trio.current_time() < 1


async def test_a_deletion_before_a_sibling_is_seen_under_the_prefix(write, read, api):
    await write("p/old")
    await write("p/new")
    index = index_of(await read("p/", recurse=""))
    await api.delete("/v1/kv/p/old")
    assert index_of(await read("p/", recurse="")) > index


@pytest.fixture
async def reader(services):
    """A client that may read `mine/` and write `mine/own`."""
    rules = (
        Rule(resource="key", name="mine/", is_prefix=True, access=Access.READ),
        Rule(resource="key", name="mine/own", access=Access.WRITE),
    )
    speaker = Speaker(
        name="a test", accessor="7", authorizer=Authorizer(rules, default_allow=False)
    )
    access = SimpleNamespace(default="deny", speaker=lambda _: speaker)
    app = make_app(dataclasses.replace(services, access=access))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://api"
    ) as client:
        yield client


async def test_rights_are_those_of_the_key(reader, write):
    for key in ("mine/a", "mine/own", "other"):
        await write(key)
    assert (await reader.get("/v1/kv/mine/a")).status_code == 200
    for path in ("/v1/kv/other", "/v1/kv/none"):
        assert (await reader.get(path)).status_code == 403
    listed = await reader.get("/v1/kv/?keys")
    assert listed.json() == ["mine/a", "mine/own"]
    assert listed.headers["X-Consul-Results-Filtered-By-ACLs"] == "true"
    assert (await reader.put("/v1/kv/mine/own", content=b"2")).json() is True
    assert (await reader.put("/v1/kv/mine/a", content=b"2")).status_code == 403
    assert (await reader.delete("/v1/kv/mine/a")).status_code == 403
    assert (await reader.delete("/v1/kv/mine/?recurse")).status_code == 403
