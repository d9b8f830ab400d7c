"""`python -I -m worker.sidecar …`: one sidecar; `lockgate connect proxy` runs it.

Belongs here: arguments, logging and the exit status. Never here: anything a sidecar does.
"""

import os
import sys

import trio

from cluster.errors import ConfigError
from cluster.process.exits import ASKED_TO_STOP, COULD_NOT_BOOT
from cluster.process.logs import configure
from worker.net.sockets import ListenError
from worker.sidecar.api import open_api
from worker.sidecar.app import Sidecar
from worker.sidecar.config import SidecarConfig, parse_arguments


def main(arguments: list[str]) -> int:
    """Run a sidecar; 0 asked to stop, 78 could not boot, with one line that says why."""
    try:
        config = parse_arguments(arguments)
        configure(config.log_level, config.log_format, sidecar=config.service)
        trio.run(_run, config)
    except (ConfigError, ListenError) as error:
        print(f"lockgate connect proxy: {error}", file=sys.stderr)
        return COULD_NOT_BOOT
    return ASKED_TO_STOP


async def _run(config: SidecarConfig) -> None:
    token = os.environ.get("LOCKGATE_HTTP_TOKEN") or os.environ.get("CONSUL_HTTP_TOKEN", "")
    ca_file = os.environ.get("LOCKGATE_CACERT") or os.environ.get("CONSUL_CACERT", "")
    async with open_api(config.api, token, ca_file) as api:
        await Sidecar(config, api).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
