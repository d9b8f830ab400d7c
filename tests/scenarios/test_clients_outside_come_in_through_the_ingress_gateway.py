"""Programs that know nothing of the mesh reach services in it, and behind it, through an ingress gateway.

The way is: client, plain or TLS → ingress gateway, mutual TLS → sidecar, native instance or terminating
gateway → server. One more server is dialled in plain, because its registration says so.
"""

import socket
import ssl
from contextlib import ExitStack, suppress

import pytest

from tests.harness import servers
from tests.harness.clients import pgbench_init, psql, redis_cli, run, start_pgbench
from tests.harness.cluster import lockgate
from tests.harness.echo import echo
from tests.harness.entries import allow, deny, external
from tests.harness.programs import free_port, program, wait_until
from tests.harness.stream import attempt

pytestmark = pytest.mark.slow

HOST = "native.example.com"
SITE = "site.example.com"


class Ports:
    """Where the gateway listens, by what is behind it."""

    def __init__(self):
        self.postgres, self.api, self.redis, self.tls, self.http = (free_port() for _ in range(5))

    @property
    def entry(self):
        return f"""
Kind = "ingress-gateway"
Name = "front"
Listeners = [
  {{ Port = {self.postgres}, Services = [{{ Name = "postgres" }}] }},
  {{ Port = {self.api}, Services = [{{ Name = "api" }}] }},
  {{ Port = {self.redis}, Services = [{{ Name = "redis" }}] }},
  {{ Port = {self.tls}, TLS {{ Enabled = true }},
    Services = [{{ Name = "native", Hosts = ["{HOST}"] }}, {{ Name = "api" }}] }},
  {{ Port = {self.http}, Protocol = "http", TLS {{ Enabled = true }},
    Services = [{{ Name = "site", Hosts = ["{SITE}"], RequestHeaders {{ Set {{ x-front = "1" }} }} }}] }},
]
"""


EGRESS = 'Kind = "terminating-gateway"\nName = "egress"\nServices = [{ Name = "postgres" }]\n'
PLAINTEXT = """
service {
  name    = "redis"
  address = "127.0.0.1"
  port    = %d
  meta    = { lockgate-plaintext = "true" }
}
"""
NATIVE = """
service {
  name    = "native"
  address = "127.0.0.1"
  port    = %d
  connect { native = true }
}
"""
HTTP = """
Kind = "service-defaults"
Name = "%s"
Protocol = "http"
"""
ROUTER = """
Kind = "service-router"
Name = "site"
Routes = [{
  Match { HTTP { PathPrefix = "/old/" } }
  Destination { Service = "site-old", PrefixRewrite = "/" }
}]
"""
EVERY_SERVICE = ("postgres", "api", "redis", "native", "site", "site-old")


@pytest.fixture
def ports():
    return Ports()


@pytest.fixture
def native_port():
    return free_port()


@pytest.fixture
def cluster(tmp_path, ports, native_port, postgres, redis):
    files = {
        "front.hcl": ports.entry,
        "egress.hcl": EGRESS,
        "postgres.hcl": external("postgres", postgres.port),
        "redis.hcl": PLAINTEXT % redis.port,
        "native.hcl": NATIVE % native_port,
        "site.hcl": HTTP % "site",
        "site-old.hcl": HTTP % "site-old",
        "router.hcl": ROUTER,
        **{f"allow-{name}.hcl": allow(name, "front", "web") for name in EVERY_SERVICE},
    }
    with lockgate(tmp_path, files) as found:
        yield found


def test_postgres_behind_a_terminating_gateway(cluster, ports):
    assert psql(ports.postgres, "select 6 * 7").stdout == b"42\n"
    carried = {"gateway": "front", "kind": "ingress", "service": "postgres"}
    wait_until(
        "the gateway counts it",
        lambda: cluster.metric("lockgate_connections_closed_total", **carried, end="finished"),
    )
    decided = {"gateway": "egress", "source": "front", "decision": "allow"}
    wait_until(
        "the terminating gateway knows who called",
        lambda: cluster.metric("lockgate_authorization_decisions_total", **decided),
    )


def test_postgres_behind_a_sidecar(cluster, ports, postgres):
    with cluster.sidecar("api", port=postgres.port):
        wait_until("it answers", lambda: psql(ports.api, "select 1").stdout == b"1\n")


def test_a_server_that_is_dialled_in_plain(cluster, ports):
    assert redis_cli(ports.redis, "PING").stdout == b"PONG\n"
    cluster.write("deny.hcl", deny("redis", "front"))
    wait_until("the gateway refuses", lambda: redis_cli(ports.redis, "PING").stdout != b"PONG\n")
    ended = {"gateway": "front", "kind": "ingress", "service": "redis", "end": "denied"}
    wait_until("and says so", lambda: cluster.metric("lockgate_connections_closed_total", **ended))


def test_curl_trusts_the_meshs_roots_and_reaches_a_native_instance(
    cluster, ports, native_port, tmp_path
):
    """nginx shows the service's leaf, and demands the gateway's."""
    leaf = tmp_path / "leaf"
    cluster.ok("connect", "leaf", "-service", "native", "-out", str(leaf))
    block = (
        f"listen 127.0.0.1:{native_port} ssl; ssl_certificate {leaf}/native.crt; "
        f"ssl_certificate_key {leaf}/native.key; ssl_client_certificate {leaf}/roots.pem; "
        "ssl_verify_client on; ssl_verify_depth 3; "
        'location / { return 200 "$ssl_client_verify $ssl_server_name"; }'
    )
    roots = _roots(cluster, tmp_path)
    with servers.nginx(tmp_path, block, native_port):
        answer = _curl(HOST, ports.tls, roots)
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout.startswith(b"SUCCESS native.default.dc1.internal.")
        unknown = _curl("unknown.example.com", ports.tls, roots)
        assert unknown.returncode == 35, unknown.stderr  # the alert unrecognized_name

    with echo() as upstream, cluster.sidecar("api", port=upstream.port):
        name = "api.ingress.dc1.consul"
        context = ssl.create_default_context(cafile=str(roots))
        wait_until("the sidecar is known", lambda: _echoed(ports.tls, context, name))


def _echoed(port, context, name):
    with (
        suppress(ConnectionResetError),
        socket.create_connection(("127.0.0.1", port), timeout=10) as sock,
        context.wrap_socket(sock, server_hostname=name) as stream,
    ):
        stream.sendall(b"ping")
        return stream.recv(4) == b"ping"
    return False


def _roots(cluster, folder):
    path = folder / "roots.pem"
    found = cluster.json("connect", "ca", "roots")["Roots"]
    path.write_text("".join(one["RootCert"] for one in found))
    return path


def _curl(host, port, roots, path="/", *more):
    where = f"{host}:{port}:127.0.0.1"
    options = ("-sS", "--cacert", str(roots), "--resolve", where, *more)
    return run(program("curl", "curl"), *options, f"https://{host}:{port}{path}")


def test_curl_asks_a_router_and_two_sites_behind_sidecars(cluster, ports, tmp_path):
    """One nginx for each; which one answered, and what arrived there, it says itself."""
    roots = _roots(cluster, tmp_path)
    with ExitStack() as stack:
        for name in ("site", "site-old"):
            port, folder = free_port(), tmp_path / name
            folder.mkdir()
            block = (
                f"listen 127.0.0.1:{port}; location / "
                f'{{ return 200 "{name} $request_uri $http_host $http_x_front"; }}'
            )
            stack.enter_context(servers.nginx(folder, block, port))
            stack.enter_context(cluster.sidecar(name, port=port))
        wait_until("they are known", lambda: _curl(SITE, ports.http, roots).stdout[:4] == b"site")
        wait_until(
            "the other one, too",
            lambda: _curl(SITE, ports.http, roots, "/old/").stdout[:8] == b"site-old",
        )
        authority = f"{SITE}:{ports.http}".encode()
        assert (
            _curl(SITE, ports.http, roots, "/a?b=c").stdout == b"site /a?b=c " + authority + b" 1"
        )
        old = _curl(SITE, ports.http, roots, "/old/page")
        assert old.stdout == b"site-old /page " + authority + b" 1"
        unknown = _curl(SITE, ports.http, roots, "/", "-H", "Host: other.example.com", "-i")
        assert unknown.stdout.startswith(b"HTTP/1.1 404 ")
        counted = {"gateway": "front", "service": "site", "code": "200"}
        wait_until(
            "requests are counted",
            lambda: cluster.metric("lockgate_http_requests_total", **counted) >= 4,
        )

        cluster.write("deny.hcl", deny("site", "front"))
        wait_until(
            "the sidecar refuses",
            lambda: _curl(SITE, ports.http, roots, "/", "-f").returncode != 0,
        )


def test_a_denial_ends_exactly_the_gateways_connections(cluster, ports):
    """pgbench runs twice: through the gateway, and through the sidecar of `web`."""
    with cluster.sidecar("web", ["postgres"]) as web:
        inside = web.ports["postgres"]
        assert pgbench_init(inside).returncode == 0
        benches = [start_pgbench(port, 120, clients=2) for port in (ports.postgres, inside)]
        try:
            wait_until("all are open", lambda: len(_sources(cluster)) >= 6)
            assert sorted(set(_sources(cluster))) == [
                ("front", "ingress"),
                ("front", "terminating"),
                ("web", "terminating"),
            ]
            cluster.write(
                "deny.hcl",
                'Kind = "service-intentions"\nName = "postgres"\nSources = [\n'
                '  { Name = "front", Action = "deny" }, { Name = "web", Action = "allow" } ]\n',
            )
            output, _ = benches[0].communicate(timeout=20)
            assert benches[0].returncode != 0, output
            wait_until("theirs are gone", lambda: {s for s, _ in _sources(cluster)} == {"web"})
            assert benches[1].poll() is None
            assert psql(inside, "select 1").stdout == b"1\n"
            assert psql(ports.postgres, "select 1").returncode != 0
        finally:
            for bench in benches:
                bench.kill()
                bench.communicate()


def _sources(cluster):
    return [(one["source"], one["kind"]) for one in cluster.connections()]


def test_an_entry_alone_is_a_gateway_on_a_free_port(tmp_path):
    files = {
        "front.hcl": 'Kind = "ingress-gateway"\nName = "front"\n'
        'Listeners { Protocol = "tcp", Services { Name = "api" } }\n',
        "allow.hcl": allow("api", "front"),
    }
    with echo() as upstream, lockgate(tmp_path, files, workers=1) as cluster:
        _, port = cluster.address("front")
        assert "reset" in attempt(port, timeout=10).error.lower()  # nobody is behind it yet
        with cluster.sidecar("api", port=upstream.port):
            wait_until("somebody is", lambda: not attempt(port, timeout=2).error)
