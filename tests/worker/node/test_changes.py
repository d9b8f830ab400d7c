"""Nobody misses a change, and nobody wakes without one."""

import trio
from trio.testing import wait_all_tasks_blocked

from worker.node.changes import Changes


async def test_a_change_before_waiting_is_not_missed(autojump_clock):
    changes = Changes()
    seen = changes.version
    changes.touch()
    with trio.fail_after(1):
        await changes.after(seen)


async def test_all_who_wait_wake(autojump_clock):
    changes = Changes()
    woken = []

    async def wait(name):
        await changes.after(changes.version)
        woken.append(name)

    with trio.fail_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, "a")
            nursery.start_soon(wait, "b")
            await wait_all_tasks_blocked()
            assert woken == []
            changes.touch()
    assert sorted(woken) == ["a", "b"]
