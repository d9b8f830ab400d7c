"""Taking a node out of service over the API."""

import pytest

DRAIN = "/v1/lockgate/nodes/n1/drain"


async def test_a_node_is_told_with_its_grace(api, fleet):
    for params, seconds in (({}, 30.0), ({"grace": "5m"}, 300.0), ({"grace": "0s"}, 0.0)):
        answer = (await api.put(DRAIN, params=params)).json()
        assert answer == {"node": "n1", "grace_seconds": seconds}
        assert fleet.drained.pop() == ("n1", seconds)


async def test_a_node_that_is_not_there(api):
    response = await api.put("/v1/lockgate/nodes/gw9/drain")
    assert (response.status_code, "gw9" in response.text) == (404, True)


@pytest.mark.parametrize("grace", ["soon", "-1s", "25h"])
async def test_a_grace_that_is_none(api, fleet, grace):
    response = await api.put(DRAIN, params={"grace": grace})
    assert (response.status_code, response.text.startswith("Invalid grace")) == (400, True)
    assert fleet.drained == []
