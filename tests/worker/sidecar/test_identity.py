import random
from datetime import timedelta

import pytest
import trio

from cluster.identity import ServiceId
from cluster.process.clock import wall_clock
from tests.fakes.pki import TRUST_DOMAIN, service_uri
from tests.fakes.rig import eventually
from worker.sidecar import identity as module
from worker.sidecar.api import open_api
from worker.sidecar.identity import Identity

WHO = ServiceId(trust_domain=TRUST_DOMAIN, service="web", datacenter="dc1")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(module, "_FIRST_RETRY_SECONDS", 0.01)
    monkeypatch.setattr(module, "_LEAST_PAUSE_SECONDS", 0.05)


class Keeper:
    """An identity that is kept, and the leaves it handed out."""

    def __init__(self, api):
        self.leaves = []
        self.refuse_next = 0
        self.identity = Identity(api, random.Random(1), wall_clock)

    def use(self, leaf):
        if self.refuse_next:
            self.refuse_next -= 1
            raise ValueError("of no use")
        self.leaves.append(leaf)


@pytest.fixture
async def keeper(consul):
    async with open_api(consul.address, "") as api, trio.open_nursery() as nursery:
        made = Keeper(api)
        yield made, lambda: nursery.start_soon(made.identity.keep, WHO, made.use)
        nursery.cancel_scope.cancel()


async def test_a_leaf_for_a_key_of_its_own(keeper, consul):
    made, start = keeper
    start()
    await eventually(lambda: made.leaves)
    (leaf,) = made.leaves
    assert leaf.uri == service_uri("web")
    assert leaf.chain_pem == consul.signed[0]


async def test_it_is_renewed_in_time_with_a_new_key(keeper, consul):
    consul.leaf_options = {"life": timedelta(hours=1)}  # it began a day ago: more than 90 % is over
    made, start = keeper
    start()
    await eventually(lambda: len(made.leaves) >= 2)
    assert made.leaves[0].key_pem != made.leaves[1].key_pem


async def test_leaves_that_have_ended_already_are_not_asked_for_in_a_spin(
    keeper, consul, monkeypatch
):
    monkeypatch.setattr(module, "_LEAST_PAUSE_SECONDS", 60.0)
    consul.leaf_options = {"life": timedelta(hours=-1)}  # a clock is wrong, ours or theirs
    made, start = keeper
    start()
    await eventually(lambda: made.leaves)
    await trio.testing.wait_all_tasks_blocked(0.1)
    assert len(consul.signed) == 1


@pytest.mark.parametrize(
    "failure",
    [(429, "signing queue is full"), (200, "not json"), (200, "{}"), (200, '{"CertPEM": "x"}')],
)
async def test_a_refusal_or_nonsense_is_tried_again(keeper, consul, failure):
    consul.failing["sign"] = failure
    made, start = keeper
    start()
    await trio.sleep(0.1)
    assert made.leaves == []
    del consul.failing["sign"]
    await eventually(lambda: made.leaves)


async def test_a_leaf_of_no_use_is_not_the_end(keeper):
    made, start = keeper
    made.refuse_next = 2
    start()
    await eventually(lambda: made.leaves)


async def test_a_changed_root_calls_for_a_new_leaf(keeper, monkeypatch):
    monkeypatch.setattr(module, "after_root_change", lambda now, chance: now)
    made, start = keeper
    start()
    await eventually(lambda: made.leaves)
    made.identity.root_changed()
    await eventually(lambda: len(made.leaves) == 2)


async def test_a_root_that_changes_while_a_leaf_is_fetched_is_not_missed(keeper, monkeypatch):
    monkeypatch.setattr(module, "after_root_change", lambda now, chance: now)
    made, start = keeper
    use = made.use

    def change_then_use(leaf):
        if not made.leaves:
            made.identity.root_changed()
        use(leaf)

    made.use = change_then_use
    start()
    await eventually(lambda: len(made.leaves) == 2)
