"""Reading the configuration file from disk into plain data.

Belongs here: the file's syntax, and no more. Never here: what the keys mean (`worker.node.config`).
"""

from pathlib import Path
from typing import Any

import msgspec

from cluster.errors import ConfigError, Problem


def read_document(path: Path) -> dict[str, Any]:
    """The plain data of a JSON file. Raises ConfigError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    except msgspec.DecodeError as error:
        reason = f"is not a JSON object: {error}"
    raise ConfigError((Problem(message=reason, file=str(path)),))
