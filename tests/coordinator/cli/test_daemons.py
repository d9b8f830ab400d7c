"""What the daemons are started with. The exec itself is watched, not done."""

import os

import pytest

from coordinator.cli.options import Failure
from coordinator.cli.program import lockgate


@pytest.fixture
def run(monkeypatch):
    """Run a command line; gives what it would become, and the token it would leave in the environment."""

    def run(*arguments):
        found = []
        monkeypatch.setattr(os, "execv", lambda program, command: found.append(command))
        monkeypatch.setenv("LOCKGATE_HTTP_TOKEN", "")  # restored afterwards, whatever happens to it
        lockgate.main([*arguments], prog_name="lockgate", standalone_mode=False)
        (command,) = found
        assert command[1:3] == ["-I", "-m"]
        return command[3:], os.environ["LOCKGATE_HTTP_TOKEN"]

    return run


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "x.hcl"
    path.write_text("")
    return str(path)


def test_the_coordinator(run, config):
    assert run("coordinator", "-c", config)[0] == ["coordinator", "--config", config]
    assert run("coordinator", f"--config={config}")[0] == ["coordinator", "--config", config]


def test_the_node(run, config):
    assert run("node", "-config", config)[0] == ["worker.node", "--config", config]
    started, _ = run("node", "-c", config, "--workers", "3")
    assert started == ["worker.node", "--config", config, "--workers", "3"]


def test_the_sidecar_and_its_token(run):
    started, token = run(
        *("--token", "secret", "connect", "proxy", "-service", "web", "-upstream", "billing:9191"),
        *("-upstream=redis:9192", "-listen", "127.0.0.1:1", "-service-addr", "127.0.0.1:2"),
        *("-http-addr", "http://127.0.0.1:8500"),
    )
    assert started[0] == "worker.sidecar"
    assert set(started[1:]) == {
        "--http-addr=http://127.0.0.1:8500",
        "--upstream=billing:9191",
        "--upstream=redis:9192",
        "--service=web",
        "--service-addr=127.0.0.1:2",
        "--listen=127.0.0.1:1",
        "--log-level=info",
        "--log-format=console",
    }
    assert token == "secret"


def test_the_sidecar_gets_a_whole_address(run):
    """Consul's environment often holds `host:port` alone."""
    command = ("connect", "proxy", "-service", "web", "-upstream", "x:1")
    started, _ = run(*command, "-http-addr", "127.0.0.1:8500")
    assert "--http-addr=http://127.0.0.1:8500" in started
    with pytest.raises(Failure, match="neither unix:///path nor"):
        run(*command, "-http-addr", "ftp://x")
