"""Processes die and stop in a fixed order of chance, while people write: one pair notices nothing.

After each disturbance everything converges, and a denied pair gets no byte through. What the order is depends
on the seed alone; a failure names the step.
"""

import os
import random
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.harness.cluster import lockgate
from tests.harness.echo import echo
from tests.harness.entries import allow, external
from tests.harness.programs import wait_until
from tests.harness.stream import attempt, stream

pytestmark = pytest.mark.slow

SEED, STEPS = 11, 11
GATEWAY = {"Kind": "terminating-gateway", "Name": "egress"}


class Chaos:
    """The disturbances, each a method; `killed` are the times at which a worker was dying."""

    def __init__(self, cluster, chance: random.Random) -> None:
        self.cluster = cluster
        self.chance = chance
        self.killed: list[tuple[float, float]] = []
        self.allowed = True

    @property
    def status(self):
        return httpx.get(f"{self.cluster.http}/v1/lockgate/status", timeout=30).json()

    @property
    def node(self):
        return self.status["nodes"][0]

    def write(self, body) -> None:
        """Until it is acknowledged: the coordinator may be away."""
        wait_until("it is written", lambda: self._try_to_write(body), 15)

    def _try_to_write(self, body) -> bool:
        try:
            return httpx.put(f"{self.cluster.http}/v1/config", json=body, timeout=30).is_success
        except httpx.TransportError:
            return False

    def flip(self) -> None:
        self.allowed = not self.allowed
        action = "allow" if self.allowed else "deny"
        source = {"Name": "web", "Action": action}
        self.write({"Kind": "service-intentions", "Name": "flip", "Sources": [source]})

    def relink(self) -> None:
        names = self.chance.sample(["one", "two", "three"], 2)
        linked = [{"Name": name} for name in ("safe", "flip", *names)]
        self.write({**GATEWAY, "Services": linked})

    def kill_worker(self) -> None:
        before = time.monotonic()
        _kill(self.chance.choice(self.node["workers"])["pid"])
        self.killed.append((before, time.monotonic()))

    def kill_node(self) -> None:
        _kill(self.node["pid"])

    def kill_both(self) -> None:
        """The node while it starts the worker's successor."""
        node = self.node["pid"]
        self.kill_worker()
        time.sleep(self.chance.uniform(0.1, 0.15))  # noqa: TID251 -- a moment of chance, not a hope
        _kill(node)

    def kill_coordinator(self) -> None:
        _kill(_child(self.cluster.process.pid, "coordinator"))

    def stop_worker(self) -> None:
        pid = self.chance.choice(self.node["workers"])["pid"]
        os.kill(pid, signal.SIGSTOP)
        try:
            self.relink()
            self.flip()
        finally:
            os.kill(pid, signal.SIGCONT)

    def is_settled(self) -> bool:
        try:
            status = self.status
        except httpx.TransportError:
            return False
        return status["problems"] == [] and [_is_current(n, status) for n in status["nodes"]] == [
            True
        ]


def _is_current(node, status) -> bool:
    wanted = status["generation"]
    return (
        node["state"] == "current"
        and node["problems"] == []
        and len(node["workers"]) == 3
        and all(w["generation"] == wanted and _alive(w["pid"]) for w in node["workers"])
        and _alive(node["pid"])
    )


def test_everything_at_once(tmp_path):
    chance = random.Random(SEED)
    with echo() as upstream:
        with lockgate(tmp_path, _files(upstream.port), workers=3) as cluster:
            chaos = Chaos(cluster, chance)
            with cluster.sidecar("web", ["safe", "flip"]) as sidecar:
                _disturb(chaos, sidecar.ports["safe"], sidecar.ports["flip"])
            workers = [worker["pid"] for worker in chaos.node["workers"]]
            left = [chaos.node["pid"], *workers]
            assert all(worker in _workers_of(cluster) for worker in workers)
            assert len(_workers_of(cluster)) == 3
        wait_until("nobody is left", lambda: not any(_alive(pid) for pid in left))
        assert "Traceback" not in cluster.log.read_text()


def _disturb(chaos: Chaos, safe: int, flip: int) -> None:
    wait_until("it serves", lambda: chaos.is_settled() and not attempt(safe).error)
    steps = [chaos.flip, chaos.relink, chaos.kill_worker, chaos.kill_node, chaos.kill_both]
    steps += [chaos.kill_coordinator, chaos.stop_worker]
    order = [*steps, *chaos.chance.choices(steps, k=STEPS - len(steps))]
    chaos.chance.shuffle(order)
    with stream(safe) as running:
        for number, step in enumerate(order):
            what = f"step {number}, {step.__name__}"
            step()
            wait_until(f"{what}: all is well", chaos.is_settled, 15)
            assert bool(attempt(flip).error) is not chaos.allowed, what
    assert len(running.attempts) > 100
    for one in running.attempts:
        if not any(one.started < dead and one.ended > before for before, dead in chaos.killed):
            assert not one.error, one


def _files(port: int) -> dict[str, str]:
    services = ("safe", "flip", "one", "two", "three")
    links = ", ".join(f'{{ Name = "{name}" }}' for name in services)
    gateway = f'Kind = "terminating-gateway"\nName = "egress"\nServices = [ {links} ]\n'
    registered = {f"{name}.hcl": external(name, port) for name in services}
    allowed = {f"allow-{name}.hcl": allow(name, "web") for name in services}
    return {"gateway.hcl": gateway, **registered, **allowed}


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_until(f"{pid} is dead", lambda: not _alive(pid))


def _alive(pid: int) -> bool:
    try:
        return _stat(pid)[0] not in ("Z", "X")
    except OSError:
        return False


def _stat(pid: int) -> list[str]:
    """The fields after the name: state, parent, … (proc_pid_stat(5))."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _processes() -> dict[int, tuple[str, list[str]]]:
    """Command lines and stat fields of everybody."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().decode(errors="replace")
                found[int(entry.name)] = line, _stat(int(entry.name))
            except OSError:
                continue
    return found


def _child(parent: int, module: str) -> int:
    (pid,) = (
        pid
        for pid, (line, stat) in _processes().items()
        if int(stat[1]) == parent and f"\0{module}\0" in line and stat[0] != "Z"
    )
    return pid


def _workers_of(cluster) -> list[int]:
    """All worker processes of this run, known to its node or not."""
    node = _child(cluster.process.pid, "worker.node")
    config = Path(f"/proc/{node}/cmdline").read_bytes().decode().split("\0--config\0")[1]
    root = config.rpartition("/")[0]
    return [pid for pid, (line, _) in _processes().items() if "--settings" in line and root in line]
