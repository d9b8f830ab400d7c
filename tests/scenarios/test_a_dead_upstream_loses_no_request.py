"""Real servers die under load behind an ingress gateway: requests are made again, and stand-ins take over."""

import http.client
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from tests.harness import servers
from tests.harness.cluster import lockgate
from tests.harness.entries import allow
from tests.harness.programs import free_port, wait_until

pytestmark = pytest.mark.slow

INSTANCE = """
service {
  id      = "%s"
  name    = "%s"
  address = "127.0.0.1"
  port    = %d
  meta    = { lockgate-plaintext = "true" }
}
"""
HTTP = 'Kind = "service-defaults"\nName = "%s"\nProtocol = "http"\n'
ROUTER = """
Kind = "service-router"
Name = "shop"
Routes = [{ Destination { NumRetries = 3, RetryOn = ["reset", "connect-failure", "5xx"] } }]
"""
RESOLVER = """
Kind = "service-resolver"
Name = "shop"
Failover = { "*" = { Targets = [{ Service = "spare" }] } }
"""
FRONT = """
Kind = "ingress-gateway"
Name = "front"
Listeners = [{
  Port = %d
  Protocol = "http"
  Services = [{
    Name = "shop"
    Hosts = ["*"]
    PassiveHealthCheck { MaxFailures = 2, MaxEjectionPercent = 100, BaseEjectionTime = "10m" }
  }]
}]
"""


class Load:
    """Clients that ask over and over, each on a connection of its own; who answered, and what went wrong."""

    def __init__(self, port, clients=6):
        self.port = port
        self.answers, self.faults = [], []
        self._clients = clients
        self._is_over = False
        self._pool = ThreadPoolExecutor(clients)

    def __enter__(self):
        for _ in range(self._clients):
            self._pool.submit(self._ask)
        return self

    def __exit__(self, *_):
        self._is_over = True
        self._pool.shutdown()

    def _ask(self):
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            while not self._is_over:
                try:
                    connection.request("GET", "/")
                    answer = connection.getresponse()
                    body = answer.read().decode()
                except OSError as error:
                    self.faults.append(repr(error))
                    return
                (self.answers if answer.status == 200 else self.faults).append(body)

    def since(self, count):
        """Who has answered since there were so many answers, once there are many more."""
        wait_until("requests go on", lambda: len(self.answers) > count + 100 or self.faults)
        return set(self.answers[count + 50 :])


def test_no_request_is_lost_and_stand_ins_take_over(tmp_path):
    ports = {name: free_port() for name in ("first", "second", "spare")}
    front = free_port()
    files = {
        "front.hcl": FRONT % front,
        "router.hcl": ROUTER,
        "resolver.hcl": RESOLVER,
        "spare.hcl": INSTANCE % ("spare", "spare", ports["spare"]),
        **{f"{n}.hcl": INSTANCE % (n, "shop", ports[n]) for n in ("first", "second")},
        **{f"http-{name}.hcl": HTTP % name for name in ("shop", "spare")},
        **{f"allow-{name}.hcl": allow(name, "front") for name in ("shop", "spare")},
    }
    with ExitStack() as stack:
        running = {}
        for name, port in ports.items():
            (tmp_path / name).mkdir()
            block = f"listen 127.0.0.1:{port}; location / {{ return 200 '{name}'; }}"
            running[name] = stack.enter_context(servers.nginx(tmp_path / name, block, port))
        cluster = stack.enter_context(lockgate(tmp_path, files, workers=1))

        def ejected(service="shop"):
            labels = {"gateway": "front", "service": service}
            return cluster.metric("lockgate_endpoint_ejections_total", **labels)

        wait_until("the gateway answers", lambda: _status(front) == 200)
        with Load(front) as load:
            assert load.since(0) == {"first", "second"}
            os.killpg(running["first"].pid, signal.SIGKILL)
            assert load.since(len(load.answers)) == {"second"}
            wait_until("it is put out", lambda: ejected() == 1)
            os.killpg(running["second"].pid, signal.SIGKILL)
            assert load.since(len(load.answers)) == {"spare"}
            wait_until("that one too", lambda: ejected() == 2)
        assert load.faults == []


def _status(port):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        try:
            connection.request("GET", "/")
            return connection.getresponse().status
        except OSError:
            return 0
