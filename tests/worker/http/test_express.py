"""Who is held for a moment goes on, whatever comes in that moment."""

import socket

import pytest
from trio.testing import wait_all_tasks_blocked

from worker.http import native
from worker.http.express import express as made

pytestmark = pytest.mark.skipif(not native.is_built, reason="the native modules were not built")


class Turn:
    """An answer that has begun; the first of them sees to it that another one begins meanwhile."""

    def __init__(self, express, more=None):
        self.express, self.more = express, more
        self.here, self.there = socket.socketpair()
        self.has_gone_on = False
        express.watch(self.here.fileno(), native.rounds.Called(self.come), is_answer=True)

    def come(self):
        self.express.hold(self)
        if self.more is not None:
            self.more.there.send(b"x")

    def go_on(self):
        self.has_gone_on = True

    def close(self):
        self.here.close()
        self.there.close()


async def test_an_answer_that_begins_while_others_are_held_is_held_no_longer(nursery):
    express = made()
    second = Turn(express)
    first = Turn(express, second)
    nursery.start_soon(express.attend)
    first.there.send(b"x")
    await wait_all_tasks_blocked(0.01)
    first.close()
    second.close()
    assert (first.has_gone_on, second.has_gone_on) == (True, True)
