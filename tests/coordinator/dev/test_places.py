"""Where a development cluster lives: ports, directories and configuration files that the daemons take."""

import json
import random
import socket
import stat
from contextlib import closing
from pathlib import Path

import pytest

from coordinator.config import parse_config
from coordinator.dev import places
from coordinator.dev.places import FreePorts, prepare, private_directory
from tests.harness.programs import free_port


@pytest.fixture
def root():
    with private_directory() as found:
        yield found


@pytest.fixture
def ports():
    with closing(FreePorts(random.Random(1))) as found:
        yield found


def test_no_port_is_given_twice_whoever_asks(monkeypatch, ports):
    port = free_port()
    monkeypatch.setattr(places, "_PORTS", range(port, port + 1))
    with closing(FreePorts(random.Random(2))) as other:
        assert ports.take() == port
        for asked in (ports, other):
            with pytest.raises(OSError, match=f"between {port} and {port + 1}"):
                asked.take()
        ports.close()
        assert other.take() == port


def test_a_port_that_somebody_listens_on_is_not_given(monkeypatch, ports):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setattr(places, "_PORTS", range(port, port + 1))
        with pytest.raises(OSError, match="no free port"):
            ports.take()


def test_the_private_directory_is_ours_alone_and_gone_afterwards():
    with private_directory() as root:
        assert stat.S_IMODE(root.stat().st_mode) == 0o700
        (root / "below").mkdir()
    assert not root.exists()


def test_the_private_directory_is_gone_after_an_error_too(ports):
    with pytest.raises(OSError, match="nope"), private_directory() as root:
        prepare(root, None, Path("/proc/nope"), ports)
    assert not root.exists()


def test_its_name_is_short_enough_for_unix_sockets_whatever_tmpdir_says(monkeypatch, tmp_path):
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr(places.tempfile, "tempdir", str(long))
    with private_directory() as root:
        assert len(bytes(root / "node/node/workers.ipc")) <= 107


def test_the_coordinator_takes_the_file_that_is_written_for_it(root, ports):
    found = prepare(root, None, None, ports)
    config = parse_config("c.json", found.coordinator_file.read_text())
    assert config.http_addr == found.http
    assert config.bus_addr == found.bus
    assert config.admin_path == str(found.admin_socket)
    assert config.state_dir.startswith(str(root))


def test_no_two_listeners_share_a_port(root, ports):
    found = prepare(root, None, None, ports)
    taken = [found.http, found.bus, found.coordinator_metrics, found.node_metrics]
    assert len(set(taken)) == 4


def test_the_node_gets_its_keys_by_file_and_knows_the_coordinators(root, ports):
    found = prepare(root, 3, None, ports)
    node = json.loads(found.node_file.read_text())
    assert node["workers"] == 3
    assert node["coordinators"] == [found.bus]
    key = Path(node["bus_key_file"])
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_text().strip() not in found.node_file.read_text()
    assert found.node_key not in key.read_text()


def test_the_workers_are_the_nodes_choice_unless_told(root, ports):
    assert "workers" not in json.loads(prepare(root, None, None, ports).node_file.read_text())


def test_a_state_directory_outlives_the_run_and_keeps_its_keys(tmp_path, ports):
    keys = []
    for _ in range(2):
        with private_directory() as root:
            keys.append(prepare(root, None, tmp_path / "state", ports).node_key)
    assert keys[0] == keys[1]


def test_a_relative_state_directory_is_made_absolute(root, tmp_path, monkeypatch, ports):
    """The daemons refuse any other: what is relative depends on who starts them."""
    monkeypatch.chdir(tmp_path)
    found = prepare(root, None, Path("state"), ports)
    for file in (found.coordinator_file, found.node_file):
        written = json.loads(file.read_text())
        assert written["state_dir"].startswith(f"{tmp_path}/state/")
        assert written["bus_key_file"].startswith(f"{tmp_path}/state/")
