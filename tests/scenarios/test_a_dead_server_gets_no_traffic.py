"""A real nginx dies and comes back: the gateway's host notices by itself, and traffic follows."""

import json
import urllib.request
from contextlib import ExitStack

import pytest

from tests.harness import servers
from tests.harness.cluster import lockgate
from tests.harness.entries import allow
from tests.harness.programs import free_port, wait_until

pytestmark = pytest.mark.slow

GATEWAY = 'Kind = "terminating-gateway"\nName = "egress"\nServices = [{ Name = "shop" }]\n'


def ask(url, *, method="GET", body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


class Shop:
    """One nginx that says its name, and its registration with a check, as consul-esm's users write it."""

    def __init__(self, name, directory):
        self.name = name
        self.port = free_port()
        self.directory = directory
        directory.mkdir()

    def serving(self):
        block = (
            f"listen 127.0.0.1:{self.port}; "
            f"location / {{ add_header Content-Type application/json; return 200 '\"{self.name}\"'; }}"
        )
        return servers.nginx(self.directory, block, self.port)

    def register(self, http):
        check = {
            "Node": self.name,
            "CheckID": "alive",
            "Name": "alive",
            "Status": "critical",
            "ServiceID": self.name,
            "Definition": {
                "HTTP": f"http://127.0.0.1:{self.port}/health",
                "Interval": "1s",
                "Timeout": "10s",
                "SuccessBeforePassing": 2,
            },
        }
        body = {
            "Node": self.name,
            "Address": "127.0.0.1",
            "NodeMeta": {"external-node": "true", "external-probe": "true"},
            "Service": {"ID": self.name, "Service": "shop", "Port": self.port},
            "Checks": [check],
        }
        ask(f"{http}/v1/catalog/register", method="PUT", body=body)


def test_a_server_that_dies_gets_no_traffic_until_it_is_back(tmp_path):
    first, second = (Shop(name, tmp_path / name) for name in ("first", "second"))
    files = {"gateway.hcl": GATEWAY, "allow.hcl": allow("shop", "web")}
    with ExitStack() as stack:
        cluster = stack.enter_context(lockgate(tmp_path, files, workers=1))
        doomed = ExitStack()
        stack.callback(doomed.close)
        doomed.enter_context(first.serving())
        stack.enter_context(second.serving())
        for shop in (first, second):
            shop.register(cluster.http)

        def check(name):
            (found,) = ask(f"{cluster.http}/v1/health/node/{name}")
            return found

        def status(name):
            return check(name)["Status"]

        for shop in (first, second):
            wait_until(f"{shop.name} passes", lambda n=shop.name: status(n) == "passing", 20)
        assert check("first")["Output"].startswith(f"HTTP GET http://127.0.0.1:{first.port}/health")
        assert '"first"' in check("first")["Output"]

        sidecar = stack.enter_context(cluster.sidecar("web", ["shop"]))
        url = f"http://127.0.0.1:{sidecar.ports['shop']}/"

        def seen(times=20):
            return {ask(url) for _ in range(times)}

        wait_until("both are used", lambda: seen() == {"first", "second"})
        doomed.close()
        wait_until("its check is critical", lambda: status("first") == "critical", 20)
        wait_until("nobody is sent to it", lambda: seen(5) == {"second"})
        assert seen(40) == {"second"}
        assert "refused" in check("first")["Output"] or "failed" in check("first")["Output"]

        with first.serving():
            wait_until("its check passes again", lambda: status("first") == "passing", 20)
            wait_until("both are used again", lambda: seen() == {"first", "second"})
