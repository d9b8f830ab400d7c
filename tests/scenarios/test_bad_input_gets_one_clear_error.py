"""Wrong files, a taken port, a full disk, no descriptors: one clear error each, and nothing lost."""

import json
import os
import socket
import subprocess
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.harness.cluster import LOCKGATE, lockgate
from tests.harness.echo import echo
from tests.harness.entries import allow, external
from tests.harness.programs import free_port, program, wait_until
from tests.harness.stream import attempt

pytestmark = pytest.mark.slow

GATEWAY = 'Kind = "terminating-gateway"\nName = "egress"\nServices = [ { Name = "echo" } ]\n'

THREE_MISTAKES = """\
Kind = "terminating-gateway"
Name = "egress"
Services = [
  { Name = "" },
  { Name = "a", CertFile = "/tmp/a.crt" },
  { Name = "b", Sni = "b", Colour = "red" },
]
"""


@pytest.fixture
def upstream():
    with echo() as server:
        yield server


def _files(port: int) -> dict[str, str]:
    return {
        "gateway.hcl": GATEWAY,
        "echo.hcl": external("echo", port),
        "allow.hcl": allow("echo", "web"),
    }


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LOCKGATE, *arguments], capture_output=True, text=True, timeout=30)


def test_three_mistakes_in_a_file_are_all_reported_with_their_lines(tmp_path):
    file = tmp_path / "egress.hcl"
    file.write_text(THREE_MISTAKES)
    told = _run("validate", str(file))
    assert told.returncode == 1
    asked = _run("--format", "json", "validate", str(file))
    assert asked.returncode == 1
    shown = json.loads(asked.stdout)
    assert shown["valid"] is False
    assert sorted(problem["line"] for problem in shown["problems"]) == [4, 5, 6]
    for problem in shown["problems"]:
        assert problem["file"] == str(file)
        assert f":{problem['line']}" in told.stderr + told.stdout
    refused = _run("dev", str(file))
    assert refused.returncode == 1
    assert "Colour" in refused.stderr


def test_second_coordinator_on_a_state_directory_is_told_who_holds_it(tmp_path):
    with lockgate(tmp_path, {"gateway.hcl": GATEWAY}) as cluster:
        private = Path(cluster.ready["admin"].removeprefix("unix://")).parent
        second = _run("coordinator", "-c", str(private / "coordinator.json"))
        assert second.returncode == 78
        assert str(cluster.ready["pids"]["coordinator"]) in second.stderr
        assert "state" in second.stderr
        assert len(second.stderr.strip().splitlines()) == 1
        assert cluster.run("status").returncode == 0


def test_gateway_port_in_use_names_the_port(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        service = f'kind = "mesh-gateway"\nname = "mesh"\naddress = "127.0.0.1"\nport = {port}'
        file = tmp_path / "mesh.hcl"
        file.write_text(f"service {{\n{service}\n}}\n")
        done = _run("dev", str(file))
    assert done.returncode == 1
    assert str(port) in done.stderr
    assert "mesh" in done.stderr


def test_full_disk_refuses_the_write_and_loses_nothing(tmp_path, upstream):
    with _small_disk(tmp_path) as disk:
        extra = ("--state", str(disk / "state"))
        with (
            lockgate(tmp_path, _files(upstream.port), extra=extra) as cluster,
            cluster.sidecar("web", ["echo"]) as sidecar,
        ):
            filler = disk / "filler"
            _fill(filler)
            entry = tmp_path / "more.hcl"
            sources = [f"source-{number:05}-with-a-long-name" for number in range(8000)]
            entry.write_text(allow("echo", "web", *sources))
            refused = cluster.run("config", "write", str(entry))
            assert refused.returncode == 1
            assert "full" in refused.stderr or "space" in refused.stderr, refused.stderr
            assert not attempt(sidecar.ports["echo"]).error
            assert "source-00001" not in cluster.ok(
                "config", "read", "-kind", "service-intentions", "-name", "echo"
            )
            filler.unlink()
            cluster.ok("config", "write", str(entry))
            assert "source-00001" in cluster.ok(
                "config", "read", "-kind", "service-intentions", "-name", "echo"
            )


@contextmanager
def _small_disk(directory: Path):
    disk = directory / "disk"
    disk.mkdir()
    mount = program("mount", "mount")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=12m,mode=0755", "tmpfs", str(disk)],
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        if os.environ.get("LOCKGATE_REQUIRE") == "1":
            pytest.fail(f"cannot mount a small disk: {done.stderr}")
        pytest.skip(f"needs the right to mount a tmpfs: {done.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run([program("umount", "mount"), "-l", str(disk)], check=True)


def _fill(file: Path) -> None:
    with file.open("wb", buffering=0) as out:
        try:
            while True:
                out.write(bytes(65536))
        except OSError:
            pass
        try:
            while True:
                out.write(bytes(512))
        except OSError:
            pass


def test_worker_out_of_descriptors_sheds_and_recovers(tmp_path, upstream):
    with (
        lockgate(tmp_path, _files(upstream.port), workers=1) as cluster,
        cluster.sidecar("web", ["echo"]) as sidecar,
    ):
        port = sidecar.ports["echo"]
        wait_until("the way is there", lambda: not attempt(port, timeout=2).error)
        (worker,) = cluster.worker_pids
        in_use = len(os.listdir(f"/proc/{worker}/fd"))
        limit = program("prlimit", "util-linux")
        subprocess.run([limit, "--pid", str(worker), f"--nofile={in_use + 20}"], check=True)
        with ExitStack() as held:
            kept = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            _round_trip(kept, b"before")
            for _ in range(40):
                sock = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
                sock.sendall(b"hold")
            shed = {"end": "overload"}
            wait_until(
                "callers are shed",
                lambda: cluster.metric("lockgate_connections_closed_total", **shed) > 0,
                15,
            )
            _round_trip(kept, b"meanwhile")
        wait_until("it recovers", lambda: not attempt(port, timeout=2).error, 15)
        assert cluster.worker_pids == [worker]


def _round_trip(sock: socket.socket, data: bytes) -> None:
    sock.sendall(data)
    got = b""
    while len(got) < len(data):
        got += sock.recv(4096)
    assert got == data


def test_unreachable_coordinator_is_named(tmp_path):
    address = f"http://127.0.0.1:{free_port()}"
    done = _run("status", "-http-addr", address)
    assert done.returncode == 1
    assert address.removeprefix("http://") in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
