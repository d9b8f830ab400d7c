"""A WebSocket client, browsers' heads and an ASGI server, through an ingress and a terminating gateway.

hypercorn serves the program, `websockets` and httpx ask it; none of them knows of the mesh.
"""

import json
import os
import socket
import sys
from contextlib import closing, contextmanager

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.harness import servers
from tests.harness.cluster import lockgate
from tests.harness.entries import external
from tests.harness.programs import free_port, wait_until

pytestmark = pytest.mark.slow

HOST = "site.example.com"
HTTP = 'Kind = "service-defaults"\nName = "%s"\nProtocol = "http"\n'
RULES = """
Kind = "service-intentions"
Name = "%s"
Sources = [ { Name = "%s", Permissions = [
  { Action = "deny", HTTP { PathPrefix = "/private" } },
  { Action = "allow", HTTP { PathPrefix = "/" } },
] } ]
"""
IN_PLAIN = """
service {
  name    = "site"
  address = "127.0.0.1"
  port    = %d
  meta    = { lockgate-plaintext = "true" }
}
"""
FRONT = """
Kind = "ingress-gateway"
Name = "front"
Listeners = [
  { Port = %d, Protocol = "http", Services = [{ Name = "site", Hosts = ["%s"] }] },
]
"""
EGRESS = 'Kind = "terminating-gateway"\nName = "egress"\nServices = [{ Name = "outside" }]\n'


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("program"), free_port()
    command = [sys.executable, "-m", "hypercorn", "-k", "trio", "-b", f"127.0.0.1:{port}"]
    with servers.running([*command, "tests.harness.asgi:app"], port, folder / "log"):
        yield port


@pytest.fixture(scope="module")
def ways(tmp_path_factory, program):
    """The local ports that lead to the program, by kind of gateway."""
    port = free_port()
    files = {
        "site.hcl": IN_PLAIN % program,
        "site-kind.hcl": HTTP % "site",
        "site-rules.hcl": RULES % ("site", "front"),
        "outside.hcl": external("outside", program),
        "outside-kind.hcl": HTTP % "outside",
        "outside-rules.hcl": RULES % ("outside", "web"),
        "front.hcl": FRONT % (port, HOST),
        "egress.hcl": EGRESS,
    }
    folder = tmp_path_factory.mktemp("mesh")
    with (
        lockgate(folder, files, workers=1) as cluster,
        cluster.sidecar("web", ["outside"]) as web,
    ):
        found = {"ingress": port, "terminating": web.ports["outside"]}
        for one in found.values():
            wait_until("it serves", lambda one=one: serves(one))
        yield found


def serves(port):
    try:
        with ask(port) as client:
            return client.get("/headers").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(params=["ingress", "terminating"])
def way(request, ways):
    return ways[request.param]


def ask(port, **options):
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Host": HOST}, **options)


@contextmanager
def websocket(port, path="/ws", **options):
    with (
        closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as sock,
        connect(f"ws://{HOST}{path}", sock=sock, max_size=None, **options) as opened,
    ):
        yield opened


def test_a_websocket_echoes_and_closes_as_the_program_says(way):
    with websocket(way, subprotocols=["chat"]) as opened:
        assert opened.subprotocol == "chat"
        assert opened.ping().wait(20)
        large = os.urandom(1024 * 1024)
        for message in ("hello", b"\0\xff", "é" * 1000, large, *map(str, range(200))):
            opened.send(message)
            assert opened.recv(timeout=20) == message
        opened.send("bye")
        with pytest.raises(ConnectionClosed) as closed:
            opened.recv(timeout=20)
        assert closed.value.rcvd.code == 4001


def test_a_websocket_is_a_request_that_rules_decide_about(way):
    with pytest.raises(InvalidStatus) as refused, websocket(way, "/private/ws"):
        pass
    response = refused.value.response
    assert (response.status_code, response.body) == (403, b"RBAC: access denied")


#: As a browser sends it to a site of many years: 40 fields, and 7 kB of cookies.
BROWSER = {
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0",
    "accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
    "accept-encoding": "gzip, deflate, br, zstd",
    "accept-language": "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7",
    "cache-control": "max-age=0",
    "cookie": "; ".join(f"_k{n}={'%040x' % (n * 7919)}{'z' * 60}" for n in range(65)),
    "dnt": "1",
    "if-modified-since": "Tue, 03 Jun 2025 11:05:30 GMT",
    "if-none-match": 'W/"683ed7ca-1f4"',
    "origin": "https://site.example.com",
    "pragma": "no-cache",
    "priority": "u=0, i",
    "referer": "https://site.example.com/a?b=%20&c=" + "x" * 500,
    "sec-ch-ua": '"Chromium";v="140", "Not=A?Brand";v="24", "Google Chrome";v="140"',
    "sec-ch-ua-mobile": "?0",
    "sec-ch-ua-platform": '"Linux"',
    "sec-fetch-dest": "document",
    "sec-fetch-mode": "navigate",
    "sec-fetch-site": "same-origin",
    "sec-fetch-user": "?1",
    "upgrade-insecure-requests": "1",
    **{f"x-own-{n}": "value " * (n + 1) + "." for n in range(19)},
}


def test_the_head_of_a_browser_arrives_as_it_was(way):
    assert len(BROWSER) == 40
    assert 4096 < len(BROWSER["cookie"]) < 8192
    with ask(way) as client:
        told = client.get("/headers", params={"q": "a b"}, headers=BROWSER).json()
    got = dict(told["headers"])
    assert {name: got.get(name) for name in BROWSER} == BROWSER
    assert len(got) == len(told["headers"])
    assert (told["path"], told["query"]) == ("/headers", "q=a+b")
    assert set(got) - set(BROWSER) <= {
        "connection",
        "host",
        "x-forwarded-client-cert",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-request-id",
    }


def test_many_cookies_of_an_answer_stay_many(way):
    with ask(way) as client:
        cookies = client.get("/cookies").headers.get_list("set-cookie")
    assert [cookie.partition("=")[0] for cookie in cookies] == [f"c{n}" for n in range(12)]


def test_an_asgi_server_gives_back_what_it_gets_while_it_gets_it(way):
    pieces = [os.urandom(70_001) for _ in range(40)]
    with ask(way, timeout=30) as client:
        assert client.post("/echo", content=iter(pieces)).content == b"".join(pieces)
        assert client.post("/echo", content=pieces[0]).content == pieces[0]
        assert client.head("/headers").content == b""
        assert json.loads(client.get("/headers").content)["method"] == "GET"
