"""`/v1/txn`: several changes of keys, all or none."""

import base64

import pytest


@pytest.fixture
def txn(api):
    async def txn(*operations, status=200):
        response = await api.put("/v1/txn", json=[{"KV": one} for one in operations])
        assert response.status_code == status, response.text
        return response.json() if status in (200, 409) else response.text

    return txn


def one(verb, key, value="", **more):
    return {"Verb": verb, "Key": key, "Value": base64.b64encode(value.encode()).decode(), **more}


async def keys(api):
    return (await api.get("/v1/kv/?keys")).json()


async def test_all_are_done_in_order_as_one_revision(txn, api, wanted):
    await api.put("/v1/kv/a/old", content=b"1")
    revision = wanted.state.revision
    answer = await txn(
        one("set", "a/new", "x", Flags=7),
        one("get", "a/new"),
        one("delete-tree", "a/o"),
        one("get-tree", "a/"),
        one("get-or-empty", "none"),
    )
    assert wanted.state.revision == revision + 1
    new = {"LockIndex": 0, "Key": "a/new", "Flags": 7, "Value": "eA=="}
    new |= {"CreateIndex": revision + 1, "ModifyIndex": revision + 1}
    empty = {"LockIndex": 0, "Key": "none", "Flags": 0, "Value": None}
    empty |= {"CreateIndex": 0, "ModifyIndex": 0}
    results = [result["KV"] for result in answer["Results"]]
    assert results == [new | {"Value": None}, new, new, empty]
    assert answer["Errors"] is None
    assert await keys(api) == ["a/new"]


@pytest.mark.parametrize(
    ("operation", "what"),
    [
        (one("get", "none"), 'key "none" doesn\'t exist'),
        (one("cas", "k", "x", Index=99999), 'failed to set key "k", index is stale'),
        (one("cas", "k", "x", Index=0), 'failed to set key "k", index is stale'),
        (one("delete-cas", "k", Index=99999), 'failed to delete key "k", index is stale'),
        (one("check-not-exists", "k"), 'key "k" exists'),
        (one("check-index", "none", Index=1), 'key "none" doesn\'t exist'),
        (one("check-index", "k", Index=99999), "!= 99999"),
        (one("check-not-exists", "first"), 'key "first" exists'),
    ],
)
async def test_one_that_fails_undoes_all(txn, api, operation, what):
    await api.put("/v1/kv/k", content=b"1")
    answer = await txn(one("set", "first", "x"), operation, one("set", "last"), status=409)
    assert answer["Results"] is None
    assert [(error["OpIndex"], what in error["What"]) for error in answer["Errors"]] == [(1, True)]
    assert await keys(api) == ["k"]


async def test_check_and_set_with_the_right_index(txn, api):
    await api.put("/v1/kv/k", content=b"1")
    index = (await api.get("/v1/kv/k")).json()[0]["ModifyIndex"]
    await txn(one("check-index", "k", Index=index), one("cas", "k", "2", Index=index))
    assert (await api.get("/v1/kv/k?raw")).content == b"2"
    index = (await api.get("/v1/kv/k")).json()[0]["ModifyIndex"]
    await txn(one("delete-cas", "k", Index=index), one("cas", "k", "3", Index=0))
    assert (await api.get("/v1/kv/k?raw")).content == b"3"


@pytest.mark.parametrize(
    ("operations", "status", "text"),
    [
        ([{"Node": {"Verb": "set"}}], 501, "'Node' is not supported"),
        ([{"KV": {"Verb": "lock", "Key": "k"}}], 501, "there are no sessions"),
        ([{"KV": {"Verb": "write", "Key": "k"}}], 400, "unknown verb 'write'"),
        ([{"KV": {"Verb": "set"}}], 400, "a key is missing"),
        ([{"KV": {"Verb": "set", "Key": "k", "Value": "*"}}], 400, "no base64"),
        ([{"KV": {"Verb": "set", "Key": "k", "Flags": -1}}], 400, "Flags must be an integer"),
        ([{"KV": {"Verb": "set", "Key": 1}}], 400, "Key must be a string"),
        ([{}], 400, "holds no KV"),
        ([3], 400, "operation 0 is no object"),
        ([{"KV": {"Verb": "get-or-empty", "Key": "k"}}] * 129, 413, "(129 > 128)"),
        ({"KV": {}}, 400, "expected a JSON list, found an object"),
    ],
)
async def test_what_cannot_be_done_is_said(api, operations, status, text):
    response = await api.put("/v1/txn", json=operations)
    assert (response.status_code, text in response.text) == (status, True), response.text


async def test_a_value_has_its_limit(txn):
    text = await txn(one("set", "k", "v" * (512 * 1024 + 1)), status=413)
    assert "524289 > 524288 bytes" in text


async def test_nothing_is_done_by_no_operations(txn):
    assert await txn() == {"Results": [], "Errors": None}


async def test_a_write_in_between_is_seen(txn, api, wanted, monkeypatch):
    """Another commit comes between the look at a key and the commit: all is done anew."""
    await api.put("/v1/kv/k", content=b"1")
    commit, others = wanted.commit, [b"2"]

    async def late(changes, expect=(), **more):
        if others and expect:
            await api.put("/v1/kv/k", content=others.pop())
        return await commit(changes, expect, **more)

    monkeypatch.setattr(wanted, "commit", late)
    answer = await txn(one("get", "k"), one("set", "copied"))
    assert answer["Results"][0]["KV"]["Value"] == base64.b64encode(b"2").decode()
