"""A CURVE secret key in a file: one line of Z85, readable by its owner alone.

Belongs here: making and reading such a file. Never here: the keys' use (`cluster.bus`).
"""

import contextlib
import os
from pathlib import Path

from cluster.bus import KeyPair, keygen, public_key
from cluster.errors import ConfigError, Problem


def create_key_file(path: Path) -> KeyPair:
    """A new pair, its secret half in `path` (0600). Raises `ConfigError`; a file is never overwritten.

    The file is there whole or not at all, whenever this ends: it is written beside its place and then
    linked, which, unlike a rename, refuses a name that is taken.
    """
    pair = keygen()
    write_secret(path, pair.secret_key)
    return pair


def write_secret(path: Path, secret: str) -> None:
    """The secret as the one line of a new file (0600). Raises `ConfigError`; never overwrites."""
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.unlink(missing_ok=True)
        _write(beside, secret + "\n")
        path.hardlink_to(beside)
    except OSError as error:
        raise _problem(path, error.strerror or str(error)) from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())


def read_key_file(path: Path) -> KeyPair:
    """The pair whose secret half is in `path`. Raises `ConfigError`, also when others may read the file."""
    try:
        mode = path.stat().st_mode
        secret = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise _problem(path, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise _problem(path, "not a CURVE key: it holds bytes that are no ASCII") from error
    if mode & 0o077:
        raise _problem(path, f"mode {mode & 0o777:04o} lets others read the secret key; chmod 0600")
    try:
        return KeyPair(public_key=public_key(secret), secret_key=secret)
    except ConfigError as error:
        raise _problem(path, error.problems[0].message) from error


def ensure_key_file(path: Path) -> KeyPair:
    """The pair in `path`, which is made if it is not there. Raises `ConfigError`."""
    return read_key_file(path) if path.exists() else create_key_file(path)


def _problem(path: Path, message: str) -> ConfigError:
    return ConfigError((Problem(file=str(path), message=message),))
