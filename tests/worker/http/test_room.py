"""How much is under way, who waits, and that nobody is forgotten."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from cluster.balance.limits import NO_LIMITS, UpstreamLimits
from cluster.errors import Refused
from cluster.routes import Endpoint
from worker.http.room import Room

ONE, TWO = Endpoint(address="10.0.0.1", port=80), Endpoint(address="10.0.0.2", port=80)


def test_requests_are_counted_by_endpoint():
    room = Room()
    for endpoint in (ONE, ONE, TWO):
        room.enter(NO_LIMITS, endpoint)
    assert (room.requests, room.active(ONE), room.active(TWO)) == (3, 2, 1)
    for endpoint in (ONE, ONE, TWO):
        room.leave(endpoint)
    assert (room.requests, room.active(ONE), room.active(TWO)) == (0, 0, 0)


def test_what_is_too_much_is_refused_and_not_counted():
    room, limits = Room(), UpstreamLimits(requests=1, pending=1, connections=1)
    room.enter(limits, ONE)
    with pytest.raises(Refused, match="1 requests are under way"):
        room.enter(limits, ONE)
    with room.pending(limits), pytest.raises(Refused), room.pending(limits):
        pass
    with room.flow(limits), pytest.raises(Refused), room.flow(limits):
        pass
    assert (room.requests, room.waiting, room.flows) == (1, 0, 0)


async def test_who_is_woken_and_gives_up_wakes_the_next():
    room, woken = Room(), []

    async def wait(name, scope):
        with scope, room.pending(NO_LIMITS):
            await room.wait()
            woken.append(name)
            if name == "first":
                await trio.sleep_forever()

    room.enter(NO_LIMITS, ONE)
    scopes = [trio.CancelScope(), trio.CancelScope()]
    async with trio.open_nursery() as nursery:
        for name, scope in zip(("first", "second"), scopes, strict=True):
            nursery.start_soon(wait, name, scope)
            await wait_all_tasks_blocked()
        room.leave(ONE)
        await wait_all_tasks_blocked()
        assert woken == ["first"]
        scopes[0].cancel()
    assert woken == ["first", "second"]
    assert room.waiting == 0
