"""What the TLS peers of probes are verified with: contexts by file, made again when a file has changed.

Belongs here: making and keeping them. Never here: a handshake. The host's roots take 20 ms to read, so
probes share what they can.
"""

import os
import ssl
from functools import lru_cache

from cluster.probes import Probe


def context_for(probe: Probe, *, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
    """Verifies as the probe says. Raises OSError and ssl.SSLError for files that cannot be read or used."""
    files = (probe.ca_file, probe.cert_file, probe.key_file)
    return _context(files, tuple(map(_changed_at, files)), probe.skip_verify, alpn)


def _changed_at(path: str) -> int:
    return os.stat(path).st_mtime_ns if path else 0


@lru_cache(maxsize=64)
def _context(
    files: tuple[str, str, str], _changed: tuple[int, ...], skip_verify: bool, alpn: tuple[str, ...]
) -> ssl.SSLContext:
    roots, chain, key = files
    context = ssl.create_default_context(cafile=roots or None)
    if chain:
        context.load_cert_chain(chain, key or None)
    if skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context
