"""Which connection is used again, and which is not."""

import contextlib
import socket

import pytest

from cluster.routes import Endpoint
from worker.http.pool import PoolLimits, Pools, Upstream
from worker.net.leg import PlainLeg

ENDPOINT = Endpoint(address="127.0.0.1", port=80)
KEY = ("127.0.0.1", 80, None)


class Site:
    """A pool by a clock of its own, and the far ends of its connections."""

    def __init__(self, stack):
        self.now = 0.0
        limits = PoolLimits(connections=3, idle_connections=2, idle_seconds=60.0)
        self.pools = Pools(lambda: self.now, limits)
        self.stack = stack

    def connection(self, key=KEY, made_with=None):
        near, far = socket.socketpair()
        self.stack.enter_context(near)
        assert self.pools.may_dial(key)
        return Upstream(PlainLeg(near), ENDPOINT, key, made_with), self.stack.enter_context(far)


@pytest.fixture
async def site():
    with contextlib.ExitStack() as stack:
        yield Site(stack)


def is_closed(upstream):
    return upstream.leg.sock.fileno() == -1


async def test_the_last_one_used_is_taken_first(site):
    first, _ = site.connection()
    second, _ = site.connection()
    site.pools.give(first)
    site.pools.give(second)
    assert site.pools.take(KEY) is second
    assert site.pools.take(KEY) is first
    assert site.pools.take(KEY) is None
    assert second.is_used


async def test_other_endpoints_and_other_tls_have_their_own(site):
    one, _ = site.connection()
    site.pools.give(one)
    assert site.pools.take(("127.0.0.1", 81, None)) is None
    assert site.pools.take(("127.0.0.1", 80, "tls")) is None
    assert site.pools.take(KEY) is one


@pytest.mark.parametrize("said", [None, b"HTTP/1.1 408 Request Timeout\r\n\r\n"])
async def test_one_that_hung_up_or_spoke_is_not_used_again(site, said):
    one, far = site.connection()
    site.pools.give(one)
    if said:
        far.send(said)
    else:
        far.close()
    assert site.pools.take(KEY) is None
    assert is_closed(one)
    assert len(site.pools) == 0


async def test_one_whose_tls_was_replaced_is_not_used_again(site):
    one, _ = site.connection(made_with="old")
    site.pools.give(one)
    assert site.pools.take(KEY, "new") is None
    assert is_closed(one)


async def test_there_are_only_so_many_and_fewer_idle_ones(site):
    made = [site.connection()[0] for _ in range(3)]
    assert not site.pools.may_dial(KEY)
    for one in made:
        site.pools.give(one)
    assert is_closed(made[2])
    assert len(site.pools) == 2
    assert site.pools.may_dial(KEY)


async def test_what_is_idle_too_long_or_gone_is_swept(site):
    old, _ = site.connection()
    gone, far = site.connection()
    young, _ = site.connection()
    site.pools.give(old)
    site.now = 30.0
    site.pools.give(gone)
    far.close()
    site.pools.sweep()
    assert (is_closed(old), is_closed(gone)) == (False, True)
    site.pools.give(young)
    site.now = 61.0
    site.pools.sweep()
    assert (is_closed(old), is_closed(young)) == (True, False)
    site.pools.close()
    assert is_closed(young)
    assert len(site.pools) == 0
