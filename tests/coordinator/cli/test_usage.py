"""How the program is called, and how it says that it was called wrongly."""

import os
import sys

import pytest
import trio

from coordinator.cli.program import _COMMANDS, main
from tests.coordinator.cli.conftest import PROGRAM, ROOT


async def one_line(ended, text, status=1):
    assert (ended.status, ended.out) == (status, "")
    assert len(ended.err.splitlines()) == 1, ended.err
    assert text in ended.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nope"], "No such command 'nope'"),
        (["config"], "Missing command"),
        (["config", "read"], "Missing option '-kind'"),
        (["config", "read", "-kidn", "x"], "No such option '-kidn'"),
        (["intention", "create", "-allow=maybe", "a", "b"], "-allow is true or false"),
        (["intention", "create", "-allow", "-deny", "a", "b"], "either -allow or -deny"),
        (["intention", "create", "a"], "SOURCE and DESTINATION"),
        (["status", "--format", "xml"], "'xml' is not one of"),
        (["explain", "-source", "web"], "either -destination or -sni"),
        (["connections", "close"], "either ID"),
        (["config", "write", "-cas", "x.hcl"], "go together"),
        (["services", "deregister"], "either FILE or -id"),
        (["coordinator"], "Missing option '-c'"),
        (["connect", "proxy", "-service", "x", "-log-format", "xml"], "'xml' is not one of"),
        (["connect", "proxy", "-service", "x", "-log-level", "loud"], "'loud' is not one of"),
        (["node", "-c", "/dev/null", "-workers", "0"], "0 is not in the range"),
    ],
)
async def test_a_usage_error_is_one_line_and_status_1(alone, arguments, text):
    await one_line(await alone(*arguments), text)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("unix:///nowhere/admin.sock", "at unix:///nowhere/admin.sock: No such file"),
        ("http://127.0.0.1:1", "at http://127.0.0.1:1: Connection refused"),
        ("127.0.0.1:1", "at 127.0.0.1:1: Connection refused"),
        ("unix://relative", "begins with /"),
        ("ftp://x", "neither unix:///path nor"),
    ],
)
async def test_an_absent_coordinator_is_named_by_its_address(alone, address, text):
    await one_line(await alone("status", "--format", "json", address=address), text)


@pytest.mark.parametrize("daemon", ["coordinator", "node"])
@pytest.mark.parametrize("file", ["/no/such/file", "/tmp"])
async def test_a_daemon_without_its_configuration_could_not_boot(alone, daemon, file):
    """A supervisor that gets 1 would start it again and again."""
    await one_line(await alone(daemon, "-c", file), file, status=78)


async def test_intention_check_has_status_2_for_every_error(alone, lockgate):
    await one_line(await alone("intention", "check", "web"), "Missing argument", status=2)
    await one_line(await alone("intention", "check", "web", "db"), "cannot reach", status=2)
    refused = await lockgate("intention", "check", "a/b/c/d", "db", status=2)
    assert "not a service name" in refused.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["-http-addr", "{}", "status", "-format", "json"],
        ["status", "--http-addr={}", "--format=json"],
        ["--format", "json", "config", "--http-addr", "{}", "list", "-kind=mesh"],
        ["--http-addr", "unix:///nowhere", "status", "-http-addr", "{}", "--format", "json"],
    ],
)
async def test_global_options_stand_anywhere_and_the_last_one_counts(alone, admin, arguments):
    ended = await alone(*(one.format(admin) for one in arguments))
    assert ended.status == 0, ended.err
    assert isinstance(ended.json, dict | list)


@pytest.mark.parametrize(
    ("environment", "reached"),
    [
        ({"LOCKGATE_HTTP_ADDR": "", "CONSUL_HTTP_ADDR": "{}"}, True),
        ({"LOCKGATE_HTTP_ADDR": "{}", "CONSUL_HTTP_ADDR": "unix:///nowhere"}, True),
        ({"LOCKGATE_HTTP_ADDR": "unix:///nowhere", "CONSUL_HTTP_ADDR": "{}"}, False),
    ],
)
async def test_the_environment_says_where_the_coordinator_is(alone, admin, environment, reached):
    env = {name: value.format(admin) for name, value in environment.items()}
    assert ((await alone("status", env=env)).status == 0) is reached


async def test_the_version_names_the_relay_engine(alone):
    ended = await alone("--version")
    assert (ended.status, ended.err) == (0, "")
    assert "(relay engine: native)" in ended.out or "(relay engine: pure, because: " in ended.out


@pytest.mark.parametrize(
    ("probe", "told"),
    [
        ("echo native", "native)"),
        ("echo pure; echo it is not built >&2", "pure, because: it is not built)"),
        ("exit 3", "unknown, because: Command "),
    ],
)
def test_the_version_passes_on_what_the_probe_says(probe, told, tmp_path, monkeypatch, capsys):
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{probe}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert f"(relay engine: {told}" in capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(_COMMANDS))
async def test_every_command_has_help_with_examples(name):
    import importlib

    import click

    module, _, attribute = _COMMANDS[name].partition(":")
    command = getattr(importlib.import_module(module), attribute)
    context = click.Context(command, info_name=name)
    commands = [command]
    while commands:
        one = commands.pop()
        assert one.get_short_help_str()
        if isinstance(one, click.Group):
            commands += [one.get_command(context, n) for n in one.list_commands(context)]
        else:
            assert f"lockgate {name}" in one.help, one.name


async def test_without_a_command_there_is_help(alone):
    ended = await alone()
    assert (ended.status, ended.err) == (0, "")
    assert all(f"\n  {name} " in ended.out for name in _COMMANDS)


@pytest.mark.parametrize("live", [1, 9000])
async def test_a_reader_that_has_seen_enough_is_no_error(admin, services, live):
    services.fleet.live = [{"id": f"n1/0/{number}"} for number in range(live)]
    command = [*PROGRAM, "connections", "list", "-http-addr", admin]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    reader, writer = os.pipe()
    os.close(reader)
    done = await trio.run_process(
        command, stdout=writer, capture_stderr=True, check=False, cwd=ROOT, env=buffered
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")
