"""The coordinator as a process: what it says and how it ends, whatever keeps it from starting."""

import json
import os
import signal
import socket
import stat
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness import coordinator as harness
from tests.harness.coordinator import PROGRAM, ROOT
from tests.harness.programs import wait_until


@pytest.fixture
def place():
    with harness.place() as found:
        yield found


@pytest.fixture
def settings(place):
    return harness.settings(place)


@pytest.fixture
def refused(place):
    """Start one that cannot; the lines of its that are no log."""

    def refused(settings):
        file = place / "refused.json"
        file.write_text(json.dumps(settings))
        done = subprocess.run(
            [*PROGRAM, "--config", file], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stdout) == (78, ""), done
        return [line for line in done.stderr.splitlines() if not line.startswith("{")]

    return refused


@contextmanager
def running(place, settings, expected=0):
    """A coordinator that serves; it must end with `expected` when asked to. Gives it and its log."""
    with harness.coordinator(place, **settings) as started:
        yield started.process, started.log
        assert started.end() == expected, started.log.read_text()


@pytest.mark.slow
def test_it_serves_and_ends_with_0_and_no_socket_when_asked(place, settings):
    with running(place, settings) as (_, log):
        assert (place / "run/admin.sock").is_socket()
    assert not (place / "run/admin.sock").exists()
    assert all(line.startswith("{") for line in log.read_text().splitlines())


@pytest.mark.slow
def test_it_starts_again_on_its_state(place, settings):
    digests = []
    for _ in range(2):
        with running(place, settings) as (_, log):
            lines = [json.loads(line) for line in log.read_text().splitlines()]
            digests.append([line["snapshot"] for line in lines if line["event"] == "published"])
    assert len(digests[0]) == 1
    assert digests[1] == []  # the same content is the same snapshot


@pytest.mark.slow
def test_what_lies_in_the_state_directory_is_its_owners_alone(place, settings):
    with running(place, settings):
        state = place / "state"
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        files = [path for path in state.iterdir() if path.is_file()]
        assert {"bus.key", "state.db", "lock"} <= {path.name for path in files}
        assert [path for path in files if path.stat().st_mode & 0o077] == []
        assert stat.S_IMODE((place / "run/admin.sock").stat().st_mode) == 0o660
        assert (place / "run").stat().st_mode & 0o011 == 0o011  # the admin group gets through


@pytest.mark.slow
def test_no_secret_is_in_the_log_or_on_the_command_line(place, settings):
    with running(place, settings | {"log_level": "debug"}) as (process, log):
        secret = (place / "state/bus.key").read_text().strip()
        line = Path(f"/proc/{process.pid}/cmdline").read_text()
    for text in (log.read_text(), line):
        assert secret not in text
        assert "PRIVATE KEY" not in text


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_at_any_time_after_the_start_ends_it_with_0(place, settings, number):
    file = place / "c.json"
    file.write_text(json.dumps(settings))
    lock = place / "state/lock"
    process = subprocess.Popen([*PROGRAM, "--config", file], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        wait_until("the state directory is taken", lock.exists)
        process.send_signal(number)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    assert not (place / "run/admin.sock").exists()


@pytest.mark.slow
@pytest.mark.parametrize("key", ["bus_addr", "metrics_addr", "http_addr"])
def test_a_port_in_use_is_named(settings, refused, key):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        (line,) = refused(settings | {key: taken})
    assert line.startswith("lockgate coordinator: ")
    assert taken in line
    assert "in use" in line


@pytest.mark.slow
def test_an_admin_socket_in_use_is_named(place, settings, refused):
    path = place / "other.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        (line,) = refused(settings | {"admin_socket": str(path)})
    assert f"{path} is in use by another process" in line


@pytest.mark.slow
def test_a_second_one_on_the_same_state_directory_names_the_first(place, settings, refused):
    with running(place, settings) as (process, _):
        (line,) = refused(settings)
        assert f"{place / 'state'} is in use by process {process.pid}" in line


@pytest.mark.slow
def test_a_second_one_on_the_same_database_names_the_first(place, settings, refused):
    settings |= {"store": {"sqlite": {"path": str(place / "db/state.db")}}}
    with running(place, settings) as (process, _):
        assert (place / "db/state.db").is_file()
        (line,) = refused(settings | {"state_dir": str(place / "another")})
        assert f"{place / 'db'} is in use by process {process.pid}" in line


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"state_dir": "/proc/nope"}, "/proc/nope: No such file"),
        ({"admin_socket": "/proc/nope/admin.sock"}, "/proc/nope: No such file"),
        ({"bus_key_file": "/nowhere/bus.key"}, "/nowhere/bus.key: No such file"),
        ({"admin_group": "no-such-group"}, "admin group 'no-such-group' does not exist"),
        ({"http_addr": "0.0.0.0:0"}, "'0.0.0.0:0': without tokens"),
        ({"metrics_addr": "nowhere.invalid:1"}, "nowhere.invalid:1"),
        ({"nope": 1}, "refused.json:1: nope: unknown field nope"),
    ],
)
def test_what_cannot_be_had_is_named_in_one_line(settings, refused, change, named):
    (line,) = refused(settings | change)
    assert named in line


@pytest.mark.slow
def test_a_key_that_others_can_read_is_refused(place, settings, refused):
    key = place / "bus.key"
    subprocess.run([*PROGRAM[:2], "coordinator.cli", "keygen", "-out", key], cwd=ROOT, check=True)
    os.chmod(key, 0o644)
    (line,) = refused(settings | {"bus_key_file": str(key)})
    assert f"{key}: mode 0644" in line
    assert key.read_text().strip() not in line


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"x\n", b"~" * 40 + b"\n", b"\xff" * 40])
def test_a_file_that_holds_no_key_is_named(place, settings, refused, content):
    key = place / "bus.key"
    key.write_bytes(content)
    os.chmod(key, 0o600)
    (line,) = refused(settings | {"bus_key_file": str(key)})
    assert str(key) in line
