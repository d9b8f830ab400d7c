"""The README's walk-through as a new user types it: its console blocks, run against the real thing.

Only ports are others, so that it runs beside anything else on this machine. `make run` itself is the recipe
that stands in the Makefile; what it installs first is what these tests run in.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness.cluster import LOCKGATE
from tests.harness.programs import free_port, listens, processes_of, program, wait_until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
#: Commands that stay in the foreground of their terminal.
STAYS = ("python3 -m http.server ", "lockgate connect proxy ")
#: What the README says, and what stands for it here.
OUTSIDE, LOCAL = "8000", "9191"


@dataclass
class Typed:
    """One command of a console block, and what the README says that it prints."""

    command: str
    printed: list[str]


def typed(section):
    """The commands below one heading of the README."""
    text = (ROOT / "README.md").read_text()
    (body,) = re.findall(rf"^## {section}\n(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL)
    found = []
    for block in re.findall(r"```console\n(.*?)```", body, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Typed(line.removeprefix("$ ").partition("   #")[0].strip(), []))
            elif line:
                found[-1].printed.append(line)
    return found


@dataclass
class Desk:
    """The terminals of somebody who reads the README."""

    ports: dict[str, int]
    environment: dict[str, str]

    def here(self, command):
        """The command with the ports of this run."""
        for said, port in self.ports.items():
            command = re.sub(rf"\b{said}\b", str(port), command)
        return command

    def run(self, command):
        """In a shell, to its end."""
        return subprocess.run(
            ["bash", "-c", self.here(command)],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )

    @contextmanager
    def terminal(self, command, log):
        """In a shell of its own that stays; Ctrl-C at the end, and it must end by that."""
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {self.here(command)}"],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            finally:
                process.kill()
                process.wait()


@pytest.fixture
def desk(tmp_path):
    """Somewhere to type: `lockgate` on the path, and a short TMPDIR that only this run uses."""
    program("curl", "curl")
    binaries = tmp_path / "bin"
    binaries.mkdir()
    for name, words in (("lockgate", LOCKGATE), ("python3", [sys.executable])):
        (binaries / name).write_text(f'#!/bin/sh\nexec {" ".join(words)} "$@"\n')
        (binaries / name).chmod(0o755)
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("CONSUL_", "LOCKGATE_"))}
    with tempfile.TemporaryDirectory(prefix="lg-readme-", dir="/tmp") as short:
        path = f"{binaries}:{os.environ['PATH']}"
        environment = clean | {"PATH": path, "TMPDIR": short, "PYTHONUNBUFFERED": "1"}
        yield Desk({OUTSIDE: free_port(), LOCAL: free_port()}, environment)


@pytest.fixture
def quickstart(desk, tmp_path):
    """`make run`: its recipe over the example, with this run's port for the service outside."""
    (recipe,) = re.findall(r"^run:.*\n\t\$\(BIN\)/(lockgate .*)$", makefile(), re.MULTILINE)
    example = tmp_path / "quickstart"
    example.mkdir()
    (said,) = re.findall(r"\S*examples/\S+", recipe)
    for file in (ROOT / said).iterdir():
        (example / file.name).write_text(desk.here(file.read_text()))
    log = tmp_path / "run.log"
    with desk.terminal(recipe.replace(said, str(example)), log) as process:
        wait_until("it serves", lambda: "Ctrl-C ends it." in log.read_text() or process.poll(), 30)
        printed = log.read_text()
        assert process.poll() is None, printed
        yield printed
    assert process.returncode == 0, log.read_text()
    assert list(Path(desk.environment["TMPDIR"]).iterdir()) == []
    assert processes_of(desk.environment["TMPDIR"]) == []


def makefile():
    return (ROOT / "Makefile").read_text()


def take_the_line(desk, printed):
    """The `export` that the reader is told to take."""
    (address,) = re.findall(r"^ *export LOCKGATE_HTTP_ADDR=(\S+)$", printed, re.MULTILINE)
    desk.environment["LOCKGATE_HTTP_ADDR"] = address


@contextmanager
def standing(desk, commands, tmp_path):
    """The commands that stay, each in a terminal of its own, once they listen."""
    service, proxy = commands
    with (
        desk.terminal(service, tmp_path / "service.log"),
        desk.terminal(proxy, tmp_path / "proxy.log"),
    ):
        for port in desk.ports.values():
            wait_until(f"{port} listens", lambda at=port: listens(at))
        log = tmp_path / "proxy.log"
        wait_until("the sidecar has its certificate", lambda: "certificate" in log.read_text())
        wait_until("it knows where to call", lambda: " upstream " in log.read_text())
        yield


def test_the_first_two_commands_are_targets_of_the_makefile():
    first = [one.command for one in typed("Two commands")]
    assert first == ["make run", "make test"]
    for command in first:
        assert re.search(rf"^{command.removeprefix('make ')}:", makefile(), re.MULTILINE)


def test_the_walk_through(desk, quickstart, tmp_path):
    take_the_line(desk, quickstart)
    commands = typed("The walk-through")
    stays = [one.command for one in commands if one.command.startswith(STAYS)]
    seen = []
    with standing(desk, stays, tmp_path):
        for one in commands:
            if one.command in stays or one.command.startswith("export "):
                continue
            if one.printed:  # it fails, once the gateway has heard of what was typed before
                wait_until(
                    f"{one.command}: {one.printed}", lambda one=one: fails_as_said(desk, one)
                )
                continue
            done = desk.run(one.command)
            seen.append((one.command, done.stdout))
            assert done.returncode == 0, (one.command, done)
    curls = [out for command, out in seen if command.startswith("curl ")]
    assert "Directory listing" in curls[0]
    explained = [out for command, out in seen if "explain" in command]
    assert "allowed by the intention web => files" in explained[0]
    assert "denied by the intention web => files" in explained[-1]


def fails_as_said(desk, one):
    done = desk.run(one.command)
    return done.returncode != 0 and all(line in done.stdout for line in one.printed)


def test_what_it_printed_to_try_works(desk, quickstart, tmp_path):
    """The lines between `In another terminal` and `Ctrl-C`, typed as they stand."""
    take_the_line(desk, quickstart)
    tried = re.findall(r"^  (lockgate .*)$", quickstart, re.MULTILINE)
    (proxy,) = [command for command in tried if command.startswith(STAYS)]
    with standing(desk, [f"python3 -m http.server {OUTSIDE} --bind 127.0.0.1", proxy], tmp_path):
        for command in tried:
            if command != proxy:
                done = desk.run(command)
                assert done.returncode == 0, (command, done.stdout)
        assert "Directory listing" in desk.run(f"curl http://127.0.0.1:{LOCAL}/").stdout
