"""Composing again and again gives what composing once gives, whatever has changed in between."""

import random

import pytest

from cluster.shards import MOST_WHOLE, shard_of
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
            Put(table=CHECKS, key=f"{node}/alive", value={"Status": status}),
            Put(table=CHECKS, key=f"{node}/alive", value={"Status": status, "ServiceID": service}),
            Delete(table=CHECKS, key=chance.choice([key, f"{node}/alive"])),
            Delete(table=NODES, key=node),
            Put(
                table=SERVICES,
                key=f"{node}/proxy",
                value={"ID": "proxy", "Service": "proxy", "Kind": "connect-proxy", "Port": 81}
                | {"Proxy": {"DestinationServiceName": service}},
            ),
            Delete(table=SERVICES, key=f"{node}/proxy"),
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
    for _ in range(100):
        await wanted.commit([change(chance)])
        state = wanted.state.snapshot()
        assert composer(state, trust) == compose(state, default_allow=False, trust=trust)


async def test_what_did_not_change_is_the_very_same_object(trust):
    many = range(MOST_WHOLE + 1)
    wanted = await Wanted.open(MemoryStore())
    native = {"Port": 80, "Connect": {"Native": True}}
    services = [
        Put(table=SERVICES, key=f"n/s{n}", value=native | {"ID": f"s{n}", "Service": f"s{n}"})
        for n in many
    ]
    node = Put(table=NODES, key="n", value={"Node": "n", "Address": "10.0.0.1"})
    await wanted.commit([node, *services, *(rules_of(f"s{n}", "allow") for n in many)])
    composer = Composer(default_allow=False, clock=lambda: 0.0)
    first = composer(wanted.state.snapshot(), trust).snapshot

    await wanted.commit([Put(table=CHECKS, key="n/c", value={"Status": "passing"})])
    assert composer(wanted.state.snapshot(), trust).snapshot.endpoints is first.endpoints
    critical = {"Status": "critical", "ServiceID": "s1"}
    await wanted.commit([Put(table=CHECKS, key="n/c", value=critical)])
    second = composer(wanted.state.snapshot(), trust).snapshot
    assert changed(first.endpoints, second.endpoints) == {shard_of("connect:s1")}
    assert (second.mesh, second.policy.intentions) == (first.mesh, first.policy.intentions)
    assert second.mesh is first.mesh
    assert second.policy.intentions is first.policy.intentions

    await wanted.commit([rules_of("s1", "deny")])
    third = composer(wanted.state.snapshot(), trust).snapshot
    assert changed(second.policy.intentions, third.policy.intentions) == {shard_of("s1")}
    assert third.endpoints is second.endpoints


def rules_of(service, action):
    value = {"Kind": "service-intentions", "Name": service}
    value |= {"Sources": [{"Name": "web", "Action": action}]}
    return Put(table=ENTRIES, key=f"service-intentions/{service}", value=value)


def changed(before, after):
    """The shards that are other objects."""
    return {n for n, part in after.parts.items() if part is not before.parts.get(n)}


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
