from contextlib import aclosing, asynccontextmanager

import pytest
import trio

from tests.fakes.consul_api import ConsulApi
from tests.fakes.rig import eventually
from worker.sidecar import api as module
from worker.sidecar.api import ApiError, open_api

PATH = "/v1/health/connect/billing"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(module, "_RETRY_SECONDS", (0.01, 0.02))
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.01)


@asynccontextmanager
async def watching(consul, path=PATH, **params):
    """The next answer, however long it takes."""
    async with (
        open_api(consul.address, "") as api,
        aclosing(api.watch(path, **params)) as answers,
    ):

        async def following():
            with trio.fail_after(30):
                return await anext(answers)

        yield following


async def test_now_and_after_every_change(consul):
    consul.put(PATH, ["one"])
    async with watching(consul) as following:
        assert await following() == ["one"]
        consul.put(PATH, ["two"])
        assert await following() == ["two"]


async def test_it_waits_rather_than_asks_again_and_again(consul):
    consul.put(PATH, [])
    async with watching(consul) as following:
        await following()
        with trio.move_on_after(0.3) as waited:
            await following()
        assert waited.cancelled_caught
        assert consul.asked.count(PATH) <= 2


async def test_a_change_that_is_none_is_not_told(consul, monkeypatch):
    consul.put(PATH, ["one"])
    async with watching(consul) as following:
        await following()
        with trio.move_on_after(0.2):
            consul.put("/elsewhere", 1)
            await following()
            raise AssertionError("nothing changed")


async def test_while_it_is_away_it_is_asked_again_and_the_first_answer_is_told(pki):
    consul = ConsulApi(pki)
    async with consul.running():
        consul.put(PATH, ["one"])
    answers = []
    async with open_api(consul.address, "") as api, trio.open_nursery() as nursery:

        async def follow():
            async with aclosing(api.watch(PATH)) as found:
                while True:
                    answers.append(await anext(found))

        nursery.start_soon(follow)
        for times in (1, 2):
            async with consul.running():
                await eventually(lambda: len(answers) == times)  # noqa: B023  # awaited here
        nursery.cancel_scope.cancel()
    assert answers == [["one"], ["one"]]


async def test_a_history_that_begins_anew_is_followed(consul):
    consul.put(PATH, ["old"], index=100)
    async with watching(consul) as following:
        await following()
        consul.put(PATH, ["new"], index=3)
        assert await following() == ["new"]
        consul.put(PATH, ["newer"], index=4)
        while await following() != ["newer"]:  # what is known may be told again, nothing else
            pass


async def test_what_has_no_index_is_looked_at_now_and_then(consul):
    async with watching(consul, "/v1/agent/self") as following:
        assert (await following())["Config"]["Datacenter"] == "dc1"
        consul.settings(datacenter="dc2")
        while (await following())["Config"]["Datacenter"] != "dc2":
            pass


@pytest.mark.parametrize("body", [b"<html>a proxy's page</html>", b"\xff\xfe", b""])
async def test_what_is_not_json_is_a_failure_to_answer(consul, body):
    consul.put(PATH, body)
    async with watching(consul) as following, trio.open_nursery() as nursery:

        async def repair():
            await eventually(lambda: consul.asked.count(PATH) >= 3)
            consul.put(PATH, ["good"])

        nursery.start_soon(repair)
        assert await following() == ["good"]


async def test_an_error_names_the_request_and_the_answer(consul):
    consul.failing[PATH] = (403, "Permission denied: token lacks service:read\n")
    async with open_api(consul.address, "") as api:
        with pytest.raises(ApiError, match=f"GET {PATH}: 403 Permission denied"):
            await api.request("GET", PATH)


async def test_nobody_there_names_the_address():
    async with open_api("unix:///nowhere/admin.sock", "") as api:
        with pytest.raises(ApiError, match=r"/nowhere/admin\.sock"):
            await api.request("GET", PATH)


async def test_the_token_goes_along(consul):
    async with open_api(consul.address, "secret") as api:
        assert api.client.headers["X-Consul-Token"] == "secret"


async def test_what_need_not_be_there_is_waited_for(consul):
    path = "/v1/config/mesh/mesh"
    async with watching(consul, path, optional=True) as following:
        assert await following() is None
        consul.entry("mesh", "mesh", HTTP={})
        assert (await following())["HTTP"] == {}
        consul.withdraw("mesh", "mesh")
        assert await following() is None


async def test_what_has_to_be_there_is_asked_for_again(consul):
    path = "/v1/config/mesh/mesh"
    async with watching(consul, path) as following, trio.open_nursery() as nursery:

        async def come():
            await eventually(lambda: consul.asked.count(path) >= 3)
            consul.entry("mesh", "mesh")

        nursery.start_soon(come)
        assert (await following())["Kind"] == "mesh"
