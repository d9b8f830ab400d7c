"""Routes, splits and intentions change 20 times a second under load: what all rules allow never fails.

What is written goes from one spelling to the next of rules that all let `/always` pass and, at the sidecar,
never `/never`. So one failed request, one connection that breaks, or one request let through is a fault.

`make changes` does it for a minute; SECONDS says how long else.
"""

import itertools
import os
import random
import subprocess
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import httpx
import pytest
import trio

from tests.harness import servers
from tests.harness.cluster import lockgate
from tests.harness.entries import external
from tests.harness.programs import PATIENCE, free_port, program, wait_until

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("LOCKGATE_CHANGES_SECONDS", "8"))
CHANGES_PER_SECOND = 20
CLIENTS = 4
HOST = "site.example.com"


# --- what is written: each a cycle of entries, any of which is right


def intentions(service, *variants):
    return [{"Kind": "service-intentions", "Name": service, "Sources": list(v)} for v in variants]


def allowed(source):
    return {"Name": source, "Action": "allow"}


def by_request(source, *permissions):
    made = [{"Action": action, "HTTP": http} for action, http in permissions]
    return {"Name": source, "Permissions": made}


def mixed(service, source):
    """With and without permissions, by name and by wildcard."""
    return intentions(
        service,
        (allowed(source),),
        (by_request(source, ("allow", {"PathPrefix": "/"})),),
        (allowed("*"), {"Name": "other", "Action": "deny"}),
        (by_request("*", ("deny", {"PathExact": "/x"}), ("allow", {"Methods": ["GET"]})),),
    )


def only_by_request(service, source):
    """Whatever it is, `/never` is not in it."""
    return intentions(
        service,
        (by_request(source, ("allow", {"PathPrefix": "/always"})),),
        (by_request(source, ("deny", {"PathPrefix": "/never"}), ("allow", {"PathPrefix": "/"})),),
        (by_request("*", ("allow", {"PathExact": "/always"})), {"Name": "x", "Action": "allow"}),
    )


def route(**match):
    return {"Match": {"HTTP": match}, "Destination": {"Service": "site-new"}}


def routers():
    changed = {"RequestHeaders": {"Set": {"x-split": "1"}}, "PrefixRewrite": "/other"}
    routes = (
        [],
        [route(PathPrefix="/always")],
        [route(Header=[{"Name": "x-beta", "Present": True}])],
        [route(PathPrefix="/always") | {"Destination": {"Service": "site", **changed}}],
    )
    return [{"Kind": "service-router", "Name": "site", "Routes": found} for found in routes]


def splitters():
    return [
        {
            "Kind": "service-splitter",
            "Name": "site",
            "Splits": [
                {"Weight": weight, "Service": "site"},
                {"Weight": 100 - weight, "Service": "site-new"},
            ],
        }
        for weight in (50, 90.5, 100, 0.01)
    ]


def resolvers():
    policies = ("round_robin", "least_request", "random", "maglev")
    return [
        {
            "Kind": "service-resolver",
            "Name": "site-new",
            "ConnectTimeout": f"{5 + number}s",
            "LoadBalancer": {"Policy": policy},
        }
        for number, policy in enumerate(policies)
    ]


def front(port, *hosts, **changed):
    exposed = {"Name": "site", "Hosts": [HOST, *hosts], **changed}
    listener = {"Port": port, "Protocol": "http", "Services": [exposed]}
    return {"Kind": "ingress-gateway", "Name": "front", "Listeners": [listener]}


def fronts(port):
    return [
        front(port),
        front(port, "other.example.com"),
        front(port, ResponseHeaders={"Set": {"x-front": "1"}}),
    ]


def egresses():
    links = (["outside"], ["outside", "more"], ["outside", "more", "most"])
    return [
        {"Kind": "terminating-gateway", "Name": "egress", "Services": [{"Name": n} for n in names]}
        for names in links
    ]


# --- who asks


@dataclass
class Asked:
    """Requests of one kind, by outcome; `faults` are what went wrong."""

    target: str
    status: int
    answers: Counter = field(default_factory=Counter)
    faults: list = field(default_factory=list)


async def keep_asking(port, asked):
    """One connection, as long as it lasts, which is for ever; the next if it breaks."""
    request = b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (asked.target.encode(), HOST.encode())
    while True:
        with trio.CancelScope() as attempt:
            try:
                async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                    while True:
                        attempt.deadline = trio.current_time() + 10 * PATIENCE
                        await stream.send_all(request)
                        status, body = await answer(stream)
                        asked.answers[status, body] += 1
                        if status != asked.status:
                            asked.faults.append((time.monotonic(), status, body))
            except (OSError, trio.BrokenResourceError, ValueError) as error:
                asked.faults.append((time.monotonic(), repr(error)))
                await trio.sleep(0.05)
        if attempt.cancelled_caught:
            asked.faults.append((time.monotonic(), "no answer"))


async def answer(stream):
    """Status and body of an answer whose length is said. Raises ValueError for an end."""
    got = b""
    while b"\r\n\r\n" not in got:
        if not (chunk := await stream.receive_some(65536)):
            raise ValueError(f"the connection ended after {got!r}")
        got += chunk
    head, _, body = got.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    while len(body) < int(fields[b"content-length"]):
        if not (chunk := await stream.receive_some(65536)):
            raise ValueError("the connection ended in a body")
        body += chunk
    return int(head[9:12]), body.strip()


async def keep_writing(http, cycles, until, written):
    """20 a second, whatever an answer takes; each cycle in its turn."""
    started = trio.current_time()
    async with httpx.AsyncClient(base_url=http, timeout=30) as api:
        for number, cycle in enumerate(itertools.cycle(cycles)):
            due = started + number / CHANGES_PER_SECOND
            if due > until:
                return
            await trio.sleep_until(due)
            response = await api.put("/v1/config", json=next(cycle))
            assert response.status_code == 200, response.text
            written.append(trio.current_time() - due)


@contextmanager
def wrk(port):
    """16 connections more, of a program that others wrote; it says what failed."""
    arguments = ["-t1", "-c16", f"-d{SECONDS:.0f}s", "--timeout", "10s", "-H", f"Host: {HOST}"]
    command = [program("wrk", "wrk"), *arguments, f"http://127.0.0.1:{port}/always"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


# --- the scenario


def site_of(name):
    return f'Kind = "service-defaults"\nName = "{name}"\nProtocol = "http"\n'


def in_plain(name, port):
    return (
        f'service {{\n  name = "{name}"\n  address = "127.0.0.1"\n  port = {port}\n'
        '  meta = { lockgate-plaintext = "true" }\n}\n'
    )


@pytest.fixture
def programs(tmp_path):
    """nginx as four services, each of which says its name."""
    ports = {name: free_port() for name in ("site", "site-new", "outside", "api")}
    blocks = [
        f"listen 127.0.0.1:{port}; keepalive_requests 1000000000; return 200 {name};"
        for name, port in ports.items()
    ]
    with servers.nginx(tmp_path, " } server { ".join(blocks), ports["api"]):
        yield ports


@pytest.fixture
def mesh(tmp_path, programs):
    port = free_port()
    kinds = {name: site_of(name) for name in (*programs, "more", "most")}
    files = {f"{name}-kind.hcl": text for name, text in kinds.items()}
    files |= {f"{name}.hcl": in_plain(name, programs[name]) for name in ("site", "site-new")}
    files |= {
        "front.hcl": f'Kind = "ingress-gateway"\nName = "front"\nListeners = [{{ Port = {port}, '
        f'Protocol = "http", Services = [{{ Name = "site", Hosts = ["{HOST}"] }}] }}]\n',
        "egress.hcl": 'Kind = "terminating-gateway"\nName = "egress"\n'
        'Services = [{ Name = "outside" }]\n',
        "outside.hcl": external("outside", programs["outside"]),
    }
    cycles = [
        mixed("site", "front"),
        routers(),
        mixed("outside", "web"),
        splitters(),
        only_by_request("api", "web"),
        fronts(port),
        mixed("site-new", "front"),
        egresses(),
        resolvers(),
    ]
    with ExitStack() as stack:
        cluster = stack.enter_context(lockgate(tmp_path, files, workers=2))
        stack.enter_context(cluster.sidecar("api", port=programs["api"]))
        web = stack.enter_context(cluster.sidecar("web", ["outside", "api"]))
        for cycle in cycles:
            httpx.put(f"{cluster.http}/v1/config", json=cycle[0], timeout=30).raise_for_status()
        ways = {"front": port, "egress": web.ports["outside"], "sidecar": web.ports["api"]}
        for way in ways.values():
            wait_until(f"{way} serves", lambda way=way: status_of(way) == 200)
        yield cluster, ways, cycles


def status_of(port, target="/always"):
    try:
        found = httpx.get(f"http://127.0.0.1:{port}{target}", headers={"Host": HOST}, timeout=30)
    except httpx.TransportError:
        return 0
    return found.status_code


async def test_changes_under_load_fail_no_request(mesh):
    cluster, ways, cycles = mesh
    asked = {way: Asked("/always", 200) for way in ways}
    asked["sidecar, forbidden"] = Asked("/never", 403)
    chance = random.Random(5)
    mixed_up = [itertools.cycle(chance.sample(cycle, len(cycle))) for cycle in cycles]
    written = []
    until = trio.current_time() + SECONDS
    with wrk(ways["front"]) as loading:
        async with trio.open_nursery() as nursery:
            for name, one in asked.items():
                for _ in range(CLIENTS):
                    nursery.start_soon(keep_asking, ways[name.partition(",")[0]], one)
            await keep_writing(cluster.http, mixed_up, until, written)
            nursery.cancel_scope.cancel()
        report = (await trio.to_thread.run_sync(loading.communicate))[0]
    for name, one in asked.items():
        print(f"{name}: {sum(one.answers.values())} requests, {dict(one.answers)}")
    print(f"{len(written)} changes, the latest {max(written):.3f} s late\n{report}")
    assert {name: one.faults[:5] for name, one in asked.items() if one.faults} == {}
    assert "Non-2xx" not in report
    assert "Socket errors" not in report
    assert {body for _, body in asked["front"].answers} == {b"site", b"site-new"}
    assert len(written) >= SECONDS * CHANGES_PER_SECOND
    changes_arrive(cluster, ways)


def changes_arrive(cluster, ways):
    """What was asked was asked of those who heard of the changes: the last one is heard of by all."""
    sources = {"front": ("site", "site-new"), "egress": ("outside",), "sidecar": ("api",)}
    for way, services in sources.items():
        for service in services:
            denied = intentions(service, ({"Name": "*", "Action": "deny"},))[0]
            httpx.put(f"{cluster.http}/v1/config", json=denied, timeout=30).raise_for_status()
        wait_until(f"{way} denies", lambda way=way: status_of(ways[way]) == 403)
