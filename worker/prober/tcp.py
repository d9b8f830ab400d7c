"""TCP checks: whether a connection, and with TLS a verified one, comes about. Nothing else belongs here.

Source: Consul, "Health checks", TCP.
"""

import trio

from cluster.catalog import Health
from cluster.probes import Probe

from .place import split_place
from .trust import context_for


async def ask(probe: Probe) -> tuple[Health, str]:
    """Connect and hang up. Raises ValueError, OSError, ssl.SSLError and trio.BrokenResourceError."""
    host, port = split_place(probe.target)
    stream: trio.abc.Stream = await trio.open_tcp_stream(host, port)
    try:
        if probe.tls:
            name = probe.server_name or host
            tls = trio.SSLStream(stream, context_for(probe), server_hostname=name)
            await tls.do_handshake()
    finally:
        await trio.aclose_forcefully(stream)
    return Health.PASSING, f"TCP connect {probe.target}: Success"
