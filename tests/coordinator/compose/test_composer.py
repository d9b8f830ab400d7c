"""Composing again and again gives what composing once gives, whatever has changed in between."""

import random

import pytest

from coordinator.compose import Composer, compose
from coordinator.store.memory import MemoryStore
from coordinator.store.records import Delete, Put
from coordinator.store.tables import CHECKS, ENTRIES, NODES, SERVICES
from coordinator.store.wanted import Wanted

INTENTION = {"Kind": "service-intentions", "Name": "db"}


def change(chance):
    """Any of the writes that a snapshot depends on."""
    node, service = f"n{chance.randrange(2)}", f"s{chance.randrange(3)}"
    key, status = f"{node}/{service}", chance.choice(["passing", "critical"])
    action = chance.choice(["allow", "deny"])
    return chance.choice(
        [
            Put(table=NODES, key=node, value={"Node": node, "Address": f"10.0.0.{len(status)}"}),
            Put(
                table=SERVICES,
                key=key,
                value={
                    "ID": service,
                    "Service": service,
                    "Port": 80,
                    "Connect": {"Native": chance.random() < 0.5},
                    "Meta": {"lockgate-plaintext": chance.choice(["true", "false"])},
                },
            ),
            Delete(table=SERVICES, key=key),
            Put(table=CHECKS, key=key, value={"Status": status, "ServiceID": service}),
            Put(
                table=ENTRIES,
                key="service-intentions/db",
                value=INTENTION | {"Sources": [{"Name": service, "Action": action}]},
            ),
            Put(
                table=ENTRIES,
                key="terminating-gateway/egress",
                value={"Kind": "terminating-gateway", "Name": "egress"}
                | {"Services": [{"Name": service}]},
            ),
            Delete(table=ENTRIES, key="terminating-gateway/egress"),
            Put(
                table=SERVICES,
                key="n1/front",
                value={"ID": "front", "Service": "front", "Kind": "ingress-gateway", "Port": 1},
            ),
            Put(
                table=ENTRIES,
                key="ingress-gateway/front",
                value={"Kind": "ingress-gateway", "Name": "front"}
                | {"Listeners": [{"Port": chance.randrange(2), "Services": [{"Name": service}]}]},
            ),
        ]
    )


@pytest.mark.parametrize("seed", range(5))
async def test_a_composer_says_what_compose_says(trust, seed):
    chance = random.Random(seed)
    wanted = await Wanted.open(MemoryStore())
    composer = Composer(default_allow=False, clock=lambda: 0.0)
    for _ in range(60):
        await wanted.commit([change(chance)])
        state = wanted.state.snapshot()
        assert composer(state, trust) == compose(state, default_allow=False, trust=trust)


async def test_an_intention_ends_though_no_entry_changes(trust):
    wanted = await Wanted.open(MemoryStore())
    source = {"Name": "web", "Action": "allow", "ExpiresAt": "1970-01-01T00:01:00Z"}
    value = INTENTION | {"Sources": [source]}
    await wanted.commit([Put(table=ENTRIES, key="service-intentions/db", value=value)])
    clock = [59.0]
    composer = Composer(default_allow=False, clock=lambda: clock[0])
    for now in (59.0, 60.0, 61.0):
        clock[0] = now
        found = composer(wanted.state.snapshot(), trust)
        assert len(found.snapshot.policy.intentions) == (now < 60)
        assert found == compose(wanted.state, default_allow=False, trust=trust, now=now)
