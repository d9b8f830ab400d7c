"""`lockgate drain` and `lockgate completion`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.api import NODE

ROOT = Path(__file__).parents[3]


async def test_drain_tells_what_is_left_and_ends(lockgate, services):
    services.fleet.nodes = [NODE]
    left = await lockgate("drain", "n1", "-grace", "1m", "-detach")
    assert left.out == "n1 accepts nothing more; 1 connections are open.\n"
    services.fleet.nodes = []
    done = await lockgate("drain", "n1", "-format=json")
    assert done.json == {"node": "n1", "grace_seconds": 30.0, "connections": 0}
    assert services.fleet.drained == [("n1", 60.0), ("n1", 30.0)]


async def test_drain_names_a_node_that_is_not_there(lockgate):
    done = await lockgate("drain", "gw9", status=1)
    assert "gw9" in done.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_each_shell_has_a_script(alone, shell):
    done = await alone("completion", shell)
    assert "_LOCKGATE_COMPLETE" in done.out


def test_bash_completes_commands_and_options(tmp_path):
    """A real bash with the real script."""
    program = tmp_path / "lockgate"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m coordinator.cli "$@"\n')
    program.chmod(0o755)
    script = """
    source <(lockgate completion bash)
    complete_words() {
        COMP_WORDS=(lockgate "$@"); COMP_CWORD=$#; COMPREPLY=()
        _lockgate_completion lockgate
        echo "${COMPREPLY[@]}"
    }
    complete_words int
    complete_words intention cre
    complete_words drain n1 --gr
    """
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split("\n")[:3] == ["intention", "create", "--grace"], done
