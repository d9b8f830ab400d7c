"""The tree of commands, and how the program ends.

Belongs here: which commands there are, the version, the exit status. Never here: what a command does.
Whatever goes wrong is one line on stderr and status 1, unless a command has its own; a bug is a traceback.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Any, NoReturn

import click

from .options import Failure, Group, usage_failure
from .output import print_json
from .settings import Settings

_HERE = "coordinator.cli"
_COMMANDS = {
    "acl": f"{_HERE}.acl:acl",
    "audit": f"{_HERE}.audit:audit",
    "catalog": f"{_HERE}.catalog:catalog",
    "completion": f"{_HERE}.completion:completion",
    "config": f"{_HERE}.config:config",
    "connect": f"{_HERE}.connect:connect",
    "connections": f"{_HERE}.connections:connections",
    "coordinator": f"{_HERE}.daemons:coordinator",
    "dev": f"{_HERE}.dev:dev",
    "diff": f"{_HERE}.history:diff",
    "drain": f"{_HERE}.drain:drain",
    "explain": f"{_HERE}.explain:explain",
    "history": f"{_HERE}.history:history",
    "intention": f"{_HERE}.intention:intention",
    "keygen": f"{_HERE}.nodes:keygen",
    "monitor": f"{_HERE}.monitor:monitor",
    "node": f"{_HERE}.daemons:node",
    "nodes": f"{_HERE}.nodes:nodes",
    "plan": f"{_HERE}.plan:plan",
    "rollback": f"{_HERE}.history:rollback",
    "services": f"{_HERE}.services:services",
    "simulate": f"{_HERE}.plan:simulate",
    "snapshot": f"{_HERE}.snapshot:snapshot",
    "status": f"{_HERE}.status:status",
    "validate": f"{_HERE}.validate:validate",
}
_PROBE_SECONDS = 10.0


def version() -> str:
    """The installed version, or `unknown` in a bare checkout."""
    try:
        return metadata.version("lockgate")
    except metadata.PackageNotFoundError:
        return "unknown"


def relay_engine() -> tuple[str, str]:
    """The relay engine that a worker of this installation would use, and why not the native one.

    Asked of another process: the coordinator's side imports nothing of the worker's.
    """
    command = [sys.executable, "-I", "-m", "worker.relay.probe"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        return "unknown", str(error)
    return done.stdout.strip(), done.stderr.strip()


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    engine, why_not_native = relay_engine()
    if context.find_root().ensure_object(Settings).is_json:
        found = {"version": version(), "relay_engine": engine, "why_not_native": why_not_native}
        print_json(found)
    else:
        why = f", because: {why_not_native}" if why_not_native else ""
        print(f"lockgate {version()} (relay engine: {engine}{why})")
    context.exit()


@click.group("lockgate", cls=Group, lazy=_COMMANDS, invoke_without_command=True)
@click.option(
    "-version",
    "--version",
    is_flag=True,
    expose_value=False,
    callback=_show_version,
    help="Print the version and the relay engine.",
)
@click.pass_context
def lockgate(context: click.Context) -> None:
    """Mesh and terminating gateways for VMs, in Consul's language.

    \b
    Try it on this machine:
      lockgate dev examples/quickstart
    Options take one dash or two, and the global ones stand before or after the command.
    """
    if context.invoked_subcommand is None:
        print(context.get_help())


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # whoever read our output has seen enough; leave nothing for the interpreter to flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)


def _run(arguments: Sequence[str] | None) -> int:
    given = None if arguments is None else list(arguments)
    try:
        result: Any = lockgate.main(given, prog_name="lockgate", standalone_mode=False)
    except Failure as failure:
        return _fail(failure)
    except click.UsageError as error:
        return _fail(usage_failure(error))
    except click.ClickException as error:
        return _fail(Failure(error.format_message()))
    except click.Abort:
        return 130
    return result if isinstance(result, int) else 0


def _fail(failure: Failure) -> int:
    """One line, whatever the message."""
    print(f"lockgate: {' '.join(failure.message.split())}", file=sys.stderr)
    return failure.status
