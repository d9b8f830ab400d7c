import pytest
import trio

from coordinator.store.records import Put

MATCH = "/v1/connect/intentions/match?by=destination&name=billing"
READS = [
    "/v1/config/service-intentions",
    "/v1/config/service-intentions/billing",
    "/v1/connect/intentions",
    MATCH,
]
ALLOW = {"source": "web", "destination": "billing"}


def index_of(response):
    return int(response.headers["X-Consul-Index"])


@pytest.mark.parametrize("path", READS)
async def test_a_read_with_the_last_index_waits_for_the_next_change(path, api, put, autojump_clock):
    before = await api.get(path)
    answered = []

    async def wait():
        answered.append(await api.get(path, params={"index": index_of(before)}))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        assert answered == []
        await put("/v1/connect/intentions/exact", {"Action": "allow"}, **ALLOW)
    assert index_of(answered[0]) > index_of(before)
    assert trio.current_time() < 1


@pytest.mark.parametrize(
    ("wait", "least", "most"), [("10s", 10, 10.7), ("1h", 600, 638), ("", 300, 319)]
)
async def test_the_wait_ends_with_jitter_up_to_a_sixteenth(api, autojump_clock, wait, least, most):
    started = trio.current_time()
    await api.get("/v1/config/mesh", params={"index": "1", "wait": wait})
    assert least <= trio.current_time() - started <= most


async def test_a_change_elsewhere_wakes_nobody(api, put, autojump_clock):
    started = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: api.get("/v1/catalog/nodes?index=1&wait=8s"))
        await trio.testing.wait_all_tasks_blocked()
        await put("/v1/connect/intentions/exact", {"Action": "allow"}, **ALLOW)
    assert trio.current_time() - started >= 8


async def test_an_old_index_answers_at_once(api, put, autojump_clock):
    await put("/v1/connect/intentions/exact", {"Action": "allow"}, **ALLOW)
    response = await api.get("/v1/connect/intentions?index=1")
    assert len(response.json()) == 1
    assert trio.current_time() < 1


async def test_roots_block_on_the_ca_and_not_on_serial_numbers(api, wanted, autojump_clock):
    first = await api.get("/v1/agent/connect/ca/roots")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            lambda: api.get(f"/v1/agent/connect/ca/roots?index={index_of(first)}&wait=8s")
        )
        await trio.testing.wait_all_tasks_blocked()
        await wanted.commit([Put(table="ca_serial", key="next", value={"serial": 9})])
    assert trio.current_time() >= 8


@pytest.mark.parametrize("query", ["index=x", "index=-1", "index=1&wait=soon", "index=1&wait=-5s"])
async def test_parameters_that_cannot_be_read_are_refused(api, query):
    response = await api.get(f"/v1/connect/intentions?{query}")
    assert (response.status_code, "Invalid" in response.text) == (400, True)


LINK = {"Kind": "terminating-gateway", "Name": "egress", "Services": [{"Name": "billing"}]}
DEFAULTS = {"Kind": "service-defaults", "Name": "billing"}
OF_BILLING = [
    ("/v1/health/service/billing", False, True, False),
    ("/v1/health/service/billing?merge-central-config", True, True, True),
    ("/v1/health/connect/billing", True, True, True),
    ("/v1/health/checks/billing", False, True, False),
    ("/v1/catalog/service/billing", False, True, False),
    ("/v1/catalog/connect/billing", True, True, True),
    ("/v1/catalog/node/c1", False, True, False),
    ("/v1/catalog/node-services/c1", False, True, False),
    ("/v1/health/node/c1", False, True, False),
]


@pytest.mark.parametrize(("path", "by_link", "by_instance", "by_entry"), OF_BILLING)
async def test_a_service_is_waited_for_by_itself(
    path, by_link, by_instance, by_entry, api, put, autojump_clock
):
    """A catalog in which something always changes wakes whom it concerns, and nobody else."""
    await put("/v1/agent/service/register", {"Name": "other"})
    await put("/v1/agent/service/register", {"Name": "billing", "Check": {"TTL": "1m"}})
    await put("/v1/catalog/register", {"Node": "n2", "Address": "10.0.0.2"})
    writes = [
        (
            False,
            "/v1/catalog/register",
            {"Node": "n2", "Address": "a", "Service": {"Service": "x"}},
        ),
        (by_link, "/v1/config", LINK),
        (by_entry, "/v1/config", DEFAULTS),
        (by_instance, "/v1/agent/check/pass/service:billing", None),
        (by_instance, "/v1/agent/service/deregister/billing", None),
    ]
    for wakes, write, body in writes:
        before = await api.get(path)
        answered = []

        async def wait(index, answered=answered):
            joint = "&" if "?" in path else "?"
            answered.append(await api.get(f"{path}{joint}index={index}&wait=1m"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, index_of(before))
            await trio.testing.wait_all_tasks_blocked()
            assert answered == []
            await put(write, body)
            await trio.sleep(1)
            assert bool(answered) is wakes, write
            nursery.cancel_scope.cancel()
        assert not wakes or index_of(answered[0]) > index_of(before)
