"""The API over real sockets, asked by real clients."""

import os
import shutil
import socket
import stat
from functools import partial

import httpx
import pytest
import trio

from cluster.errors import ConfigError
from coordinator.api.peers import Peer, host_is_local, may_speak
from coordinator.api.serve import Tcp, serve


@pytest.fixture
def path(tmp_path):
    return tmp_path / "admin.sock"


@pytest.fixture
async def start(services, path, nursery):
    async def start(**options):
        return await nursery.start(partial(serve, services, unix_path=path, **options))

    return start


def over(path):
    return httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(uds=str(path)), base_url="http://api"
    )


async def test_the_unix_socket_answers_and_has_the_right_mode(start, path):
    bound = await start(group="daemon")
    assert bound.unix == f"unix://{path}"
    found = path.stat()
    assert stat.S_IMODE(found.st_mode) == 0o660
    assert found.st_gid == 1
    async with over(path) as client:
        assert (await client.get("/v1/status/leader")).json() == "10.0.0.5:7400"


async def test_curl_speaks_to_it(start, path):
    if shutil.which("curl") is None:
        pytest.skip("Debian package curl")
    await start()
    command = ["curl", "-sS", "--fail", "--unix-socket", str(path), "http://api/v1/agent/self"]
    done = await trio.run_process(command, capture_stdout=True)
    assert b'"NodeName":"c1"' in done.stdout


async def test_tcp_answers_on_loopback(start):
    bound = await start(tcp=Tcp(address="127.0.0.1:0"))
    async with httpx.AsyncClient(base_url=bound.http) as client:
        assert (await client.get("/v1/status/leader")).json() == "10.0.0.5:7400"
        rebound = await client.get("/v1/status/leader", headers={"Host": "evil.example"})
        assert rebound.status_code == 403


async def test_one_address_does_not_take_all_connections_there_are(start, path):
    bound = await start(tcp=Tcp(address="127.0.0.1:0", most=2))
    host, _, port = bound.http.removeprefix("http://").partition(":")
    async with httpx.AsyncClient(base_url=bound.http) as client, over(path) as admin:
        first, second = [await trio.open_tcp_stream(host, int(port)) for _ in range(2)]
        await _until(client, 429)
        assert (await admin.get("/v1/status/leader")).status_code == 200
        await first.aclose()
        await _until(client, 200)
        await second.aclose()


async def _until(client, status):
    """The server counts connections as it comes to them."""
    for _ in range(2000):
        if (await client.get("/v1/status/leader")).status_code == status:
            return
        await trio.sleep(0.02)
    pytest.fail(f"never answered {status}")


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", ":0", "10.1.2.3:80", "example.com:80"])
async def test_tcp_elsewhere_is_refused_and_leaves_nothing(services, path, address):
    with pytest.raises(ConfigError, match="only served on loopback"), trio.fail_after(30):
        await serve(services, unix_path=path, tcp=Tcp(address=address))
    assert not path.exists()


async def test_a_taken_port_is_refused_by_name(services, path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match=f"{address}: Address already in use"):
            await serve(services, unix_path=path, tcp=Tcp(address=address))


async def test_the_file_is_gone_at_the_end(services, path, nursery):
    async with trio.open_nursery() as inner:
        await inner.start(partial(serve, services, unix_path=path))
        assert path.exists()
        inner.cancel_scope.cancel()
    assert not path.exists()


async def test_the_socket_of_a_dead_process_is_replaced(start, path):
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    await start()
    async with over(path) as client:
        assert (await client.get("/v1/status/leader")).status_code == 200


async def test_the_socket_of_a_living_process_is_left_alone(services, start, path):
    await start()
    refused = pytest.raises(ConfigError, match="in use by another process")
    with refused, trio.fail_after(30):
        await serve(services, unix_path=path)
    async with over(path) as client:
        assert (await client.get("/v1/status/leader")).status_code == 200


async def test_a_file_that_is_no_socket_is_left_alone(services, path):
    path.write_text("precious")
    with pytest.raises(ConfigError, match="no socket"), trio.fail_after(30):
        await serve(services, unix_path=path)
    assert path.read_text() == "precious"


async def test_a_path_that_does_not_fit_is_refused(services, tmp_path):
    with pytest.raises(ConfigError, match="at most 107 bytes"):
        await serve(services, unix_path=tmp_path / ("x" * 120))


async def test_a_folder_that_is_not_there_is_named(services, tmp_path):
    place = tmp_path / "nowhere" / "admin.sock"
    with pytest.raises(ConfigError, match=f"admin socket {place}: No such file or directory"):
        await serve(services, unix_path=place)


async def test_an_unknown_group_is_refused(services, path):
    with pytest.raises(ConfigError, match="'nosuchgroup' does not exist"):
        await serve(services, unix_path=path, group="nosuchgroup")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
async def test_a_stranger_is_refused_even_if_the_mode_lets_them_in(start, path):
    await start(group="daemon")
    path.chmod(0o666)
    for directory in path.parents:
        if directory.stat().st_uid == 0 and str(directory).startswith("/tmp/"):
            directory.chmod(0o755)
    script = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
    script += (
        "s.sendall(b'GET /v1/agent/self HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n');"
    )
    script += "print(s.makefile().readline())"
    run = partial(
        trio.run_process, ["/usr/bin/python3", "-c", script, str(path)], capture_stdout=True
    )
    stranger = await run(user=65534, group=65534, extra_groups=[])
    assert b"403" in stranger.stdout
    member = await run(user=65534, group=1, extra_groups=[])
    assert b"200" in member.stdout


def test_root_ourselves_and_the_group_may_speak():
    assert may_speak(Peer(pid=1, uid=0, gid=0), admin_gid=None)
    assert may_speak(Peer(pid=1, uid=os.geteuid(), gid=9), admin_gid=None)
    assert not may_speak(Peer(pid=1, uid=65534, gid=65534), admin_gid=None)
    assert not may_speak(Peer(pid=1, uid=65534, gid=65534), admin_gid=1)
    assert may_speak(Peer(pid=1, uid=65534, gid=1), admin_gid=1)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost:8500", True),
        ("api.localhost", True),
        ("127.0.0.1:8500", True),
        ("[::1]:8500", True),
        ("[::1]", True),
        ("evil.example:8500", False),
        ("localhost.evil.example", False),
        ("", False),
    ],
)
def test_only_local_hosts_are_named(host, local):
    assert host_is_local(host) is local


async def test_a_blocking_query_ends_with_its_client(services, start, path):
    await start()
    before = trio.lowlevel.current_statistics().tasks_living
    async with over(path) as client:
        with trio.move_on_after(0.3):
            await client.get("/v1/catalog/nodes?index=1&wait=5m", timeout=30)
    with trio.fail_after(30):
        while trio.lowlevel.current_statistics().tasks_living > before:
            await trio.testing.wait_all_tasks_blocked(0.01)


async def test_a_body_has_a_limit(start, path):
    await start()
    async with over(path) as client:
        response = await client.put("/v1/config", content=b" " * (8 * 1024 * 1024 + 1))
    assert (response.status_code, "more than 8388608 bytes" in response.text) == (413, True)


async def test_a_value_of_the_key_value_store_has_a_limit(start, path):
    await start()
    async with over(path) as client:
        assert (await client.put("/v1/kv/k", content=b"v" * (512 * 1024))).json() is True
        response = await client.put("/v1/kv/k", content=b"v" * (512 * 1024 + 1))
        assert (response.status_code, "524288 bytes" in response.text) == (413, True)
        assert len((await client.get("/v1/kv/k?raw")).content) == 512 * 1024
