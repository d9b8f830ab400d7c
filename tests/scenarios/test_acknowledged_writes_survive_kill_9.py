"""SIGKILL of the coordinator at random moments of 200 writes: what it acknowledged is there, whole."""

import random
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pytest

from tests.harness.coordinator import coordinator, place

pytestmark = pytest.mark.slow

WRITES = 200
#: A kill comes after so many writes, and so long after the last of them was sent.
WRITES_BETWEEN = range(1, 30)
LATEST_SECONDS = 0.012


def get(http, path):
    response = httpx.get(http + path, timeout=30)
    return (response.json(), response) if response.status_code != 404 else (None, response)


class Intention:
    """An entry: one record whose every part says the same number."""

    name = "service-intentions/db"

    def write(self, http, number):
        sources = [{"Name": f"{name}-{number}", "Action": "allow"} for name in ("web", "job")]
        body = {"Kind": "service-intentions", "Name": "db", "Sources": sources}
        return httpx.put(f"{http}/v1/config", json=body | {"Meta": {"n": str(number)}}, timeout=30)

    def read(self, http):
        entry, _ = get(http, "/v1/config/service-intentions/db")
        if entry is None:
            return {0}
        names = {int(source["Name"].partition("-")[2]) for source in entry["Sources"]}
        return names | {int(entry["Meta"]["n"])}


class Registration:
    """A node, a service and a check: three records of one write."""

    name = "catalog"

    def write(self, http, number):
        service = {"Service": "api", "ID": "api", "Port": 80, "Meta": {"n": str(number)}}
        check = {"CheckID": "alive", "Name": "alive", "Status": "passing", "ServiceID": "api"}
        body = {
            "Node": "host",
            "Address": "10.0.0.1",
            "NodeMeta": {"n": str(number)},
            "Service": service,
            "Checks": [check | {"Output": str(number)}],
        }
        return httpx.put(f"{http}/v1/catalog/register", json=body, timeout=30)

    def read(self, http):
        found, _ = get(http, "/v1/health/service/api")
        if not found:
            return {0}
        (entry,) = found
        (check,) = entry["Checks"]
        told = (entry["Node"]["Meta"]["n"], entry["Service"]["Meta"]["n"], check["Output"])
        return {int(number) for number in told}


class Key:
    """A value of the key/value store."""

    name = "kv/key"

    def write(self, http, number):
        return httpx.put(f"{http}/v1/kv/key", content=str(number) * 50, timeout=30)

    def read(self, http):
        _, response = get(http, "/v1/kv/key?raw")
        if response.status_code == 404:
            return {0}
        text = response.text
        size = len(text) // 50
        assert text == text[:size] * 50, "half a value"
        return {int(text[:size])}


def _write_and_kill(pool, running, http, thing, number, seconds) -> bool:
    """Send a write, kill after so long; whether it was acknowledged before."""
    sent: Future[httpx.Response] = pool.submit(thing.write, http, number)
    try:
        response = sent.result(timeout=seconds)
    except TimeoutError:
        response = None
    running.process.kill()
    running.process.wait(60)
    if response is None:
        try:
            response = sent.result(timeout=60)
        except httpx.TransportError:
            return False
    assert response.status_code == 200, response.text
    return True


def test_acknowledged_writes_survive_kill_9():
    chance = random.Random(9)
    things = (Intention(), Registration(), Key())
    acknowledged = dict.fromkeys(things, 0)
    kills = unanswered = number = 0
    thing = things[0]
    with place() as folder, ThreadPoolExecutor(1) as pool:
        while number < WRITES:
            with coordinator(folder) as running:
                http = f"http://127.0.0.1:{running.port}"
                _check(http, acknowledged, thing, number)
                for _ in range(chance.choice(WRITES_BETWEEN)):
                    number += 1
                    thing = chance.choice(things)
                    assert thing.write(http, number).status_code == 200
                    acknowledged[thing] = number
                number += 1
                thing, seconds = chance.choice(things), chance.uniform(0, LATEST_SECONDS)
                if _write_and_kill(pool, running, http, thing, number, seconds):
                    acknowledged[thing] = number
                else:
                    unanswered += 1
                kills += 1
        with coordinator(folder) as running:
            _check(f"http://127.0.0.1:{running.port}", acknowledged, thing, number)
    assert kills > 7
    assert unanswered > 0, "no kill came while a write was on its way"


def _check(http, acknowledged, last, number):
    """Each thing is as acknowledged, or the last as the unanswered write wanted it; no mixture."""
    for thing, expected in acknowledged.items():
        (found,) = thing.read(http)
        if thing is last and found == number:
            acknowledged[thing] = number
        else:
            assert found == expected, f"{thing.name} says {found}, acknowledged was {expected}"
