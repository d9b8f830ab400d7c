"""SIGKILL of the coordinator at random moments of 200 writes: what it acknowledged is there, whole."""

import json
import os
import random
import signal
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pytest

from tests.harness.programs import free_port, wait_until

pytestmark = pytest.mark.slow

WRITES = 200
#: A kill comes after so many writes, and so long after the last of them was sent.
WRITES_BETWEEN = range(1, 30)
LATEST_SECONDS = 0.012


class Coordinator:
    """One process, started again on the same state after each kill."""

    def __init__(self, directory):
        self.http = f"http://127.0.0.1:{free_port()}"
        settings = {
            "node_name": "c1",
            "state_dir": str(directory / "state"),
            "runtime_dir": str(directory / "run"),
            "metrics_addr": f"127.0.0.1:{free_port()}",
            "http_addr": self.http.removeprefix("http://"),
            "bus_addr": f"127.0.0.1:{free_port()}",
        }
        self.file = directory / "coordinator.json"
        self.file.write_text(json.dumps(settings))
        self.log = directory / "coordinator.log"
        self.process = None

    def start(self):
        with self.log.open("ab") as log:
            command = [sys.executable, "-I", "-m", "coordinator", "--config", str(self.file)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until("the coordinator answers", self._answers, seconds=30)

    def _answers(self):
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        try:
            return httpx.get(f"{self.http}/v1/status/leader").status_code == 200
        except httpx.TransportError:
            return False

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def get(self, path):
        response = httpx.get(self.http + path)
        return (response.json(), response) if response.status_code != 404 else (None, response)


class Intention:
    """An entry: one record whose every part says the same number."""

    name = "service-intentions/db"

    def write(self, http, number):
        sources = [{"Name": f"{name}-{number}", "Action": "allow"} for name in ("web", "job")]
        body = {"Kind": "service-intentions", "Name": "db", "Sources": sources}
        return httpx.put(f"{http}/v1/config", json=body | {"Meta": {"n": str(number)}})

    def read(self, coordinator):
        entry, _ = coordinator.get("/v1/config/service-intentions/db")
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
        return httpx.put(f"{http}/v1/catalog/register", json=body)

    def read(self, coordinator):
        found, _ = coordinator.get("/v1/health/service/api")
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
        return httpx.put(f"{http}/v1/kv/key", content=str(number) * 50)

    def read(self, coordinator):
        _, response = coordinator.get("/v1/kv/key?raw")
        if response.status_code == 404:
            return {0}
        text = response.text
        size = len(text) // 50
        assert text == text[:size] * 50, "half a value"
        return {int(text[:size])}


@pytest.fixture
def coordinator(tmp_path):
    found = Coordinator(tmp_path)
    found.start()
    yield found
    found.kill()


def _write_and_kill(pool, coordinator, thing, number, seconds) -> bool:
    """Send a write, kill after so long; whether it was acknowledged before."""
    sent: Future[httpx.Response] = pool.submit(thing.write, coordinator.http, number)
    try:
        response = sent.result(timeout=seconds)
    except TimeoutError:
        response = None
    coordinator.kill()
    if response is None:
        try:
            response = sent.result(timeout=10)
        except httpx.TransportError:
            return False
    assert response.status_code == 200, response.text
    return True


def test_acknowledged_writes_survive_kill_9(coordinator):
    chance = random.Random(9)
    things = (Intention(), Registration(), Key())
    acknowledged = dict.fromkeys(things, 0)
    kills = unanswered = number = 0
    with ThreadPoolExecutor(1) as pool:
        while number < WRITES:
            for _ in range(chance.choice(WRITES_BETWEEN)):
                number += 1
                thing = chance.choice(things)
                assert thing.write(coordinator.http, number).status_code == 200
                acknowledged[thing] = number
            number += 1
            thing, seconds = chance.choice(things), chance.uniform(0, LATEST_SECONDS)
            if _write_and_kill(pool, coordinator, thing, number, seconds):
                acknowledged[thing] = number
            else:
                unanswered += 1
            kills += 1
            coordinator.start()
            _check(coordinator, acknowledged, thing, number)
    assert kills > 7
    assert unanswered > 0, "no kill came while a write was on its way"


def _check(coordinator, acknowledged, last, number):
    """Each thing is as acknowledged, or the last as the unanswered write wanted it; no mixture."""
    for thing, expected in acknowledged.items():
        (found,) = thing.read(coordinator)
        if thing is last and found == number:
            acknowledged[thing] = number
        else:
            assert found == expected, f"{thing.name} says {found}, acknowledged was {expected}"
