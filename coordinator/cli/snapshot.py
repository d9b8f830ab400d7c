"""`lockgate snapshot`: the whole state as one file, saved, looked at, put back.

Belongs here: files and what is said about them. Never here: what is in one (`coordinator.store.saved`).
The file holds the CA's private keys: it is made for its owner alone (0600), and whole or not at all.
"""

import datetime
import os
from pathlib import Path
from typing import Any

import click

from coordinator.store.saved import Saved, SavedError, counts, decode_saved

from .options import Failure, Group, command
from .output import print_facts, print_json, print_table
from .settings import Settings

_PATH = "/v1/snapshot"
_SECONDS = 600.0
_FILE = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))


@click.group("snapshot", cls=Group)
def snapshot() -> None:
    """Save the coordinator's whole state as one file, and put it back."""


@command("save")
@_FILE
@click.pass_obj
def save(settings: Settings, file: Path) -> None:
    """Write the state to FILE, for its owner alone: the CA's private keys are in it.

    \b
    Example:
      lockgate snapshot save backup.snapshot
    """
    with settings.api() as api:
        content = api.request("GET", _PATH, timeout_seconds=_SECONDS).content
    saved = decode_saved(content)
    _write(file, content)
    if settings.is_json:
        print_json(_facts(file, saved))
    else:
        print(f"Saved: {file}, revision {saved.revision}")


@command("restore")
@_FILE
@click.pass_obj
def restore(settings: Settings, file: Path) -> None:
    """Put the state in FILE in place of the present one.

    Tokens are those of the file afterwards. The history of the entries stays, and the restoration can be
    rolled back as far as entries go.

    \b
    Example:
      lockgate snapshot restore backup.snapshot
    """
    content = _read(file)
    saved = decode_saved(content)
    with settings.api() as api:
        api.request("PUT", _PATH, content=content, timeout_seconds=_SECONDS)
    if settings.is_json:
        print_json(_facts(file, saved))
    else:
        print(f"Restored: {file}, revision {saved.revision}")


@command("inspect")
@_FILE
@click.pass_obj
def inspect(settings: Settings, file: Path) -> None:
    """Check FILE and say what is in it, without asking a coordinator.

    \b
    Example:
      lockgate snapshot inspect backup.snapshot
    """
    try:
        saved = decode_saved(_read(file))
    except SavedError as error:
        raise Failure(f"{file}: {error}") from None
    facts = _facts(file, saved)
    if settings.is_json:
        print_json(facts)
        return
    at = datetime.datetime.fromtimestamp(int(saved.at), datetime.UTC).isoformat()
    shown = facts | {"at": at}
    print_facts([(name.capitalize(), shown[name]) for name in shown if name != "records"])
    print()
    print_table(("Table", "Records"), list(facts["records"].items()))


def _facts(file: Path, saved: Saved) -> dict[str, Any]:
    return {
        "file": str(file),
        "datacenter": saved.datacenter,
        "revision": saved.revision,
        "at": saved.at,
        "lockgate": saved.lockgate,
        "records": counts(saved.records),
    }


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise Failure(f"{file}: {error.strerror or error}") from None


def _write(file: Path, content: bytes) -> None:
    """Under another name first, so that what bears the name is whole."""
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as out:
                out.write(content)
                out.flush()
                os.fsync(descriptor)
            part.rename(file)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise Failure(f"{file}: {error.strerror or error}") from None


for _command in (save, restore, inspect):
    snapshot.add_command(_command)
