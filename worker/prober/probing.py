"""One probing: whatever happens is a verdict. Never here: when, or how a kind of check asks."""

import trio

from cluster.catalog import Health
from cluster.probes import Probe, ProbeKind, Verdict, shortened

from . import grpc, http, tcp

_WAYS = {ProbeKind.HTTP: http.ask, ProbeKind.TCP: tcp.ask, ProbeKind.GRPC: grpc.ask}


async def verdict_of(probe: Probe) -> Verdict:
    """Ask, for at most the probe's timeout."""
    status, output = Health.CRITICAL, f"no answer within {probe.timeout_seconds:g} s"
    with trio.move_on_after(probe.timeout_seconds):
        try:
            status, output = await _WAYS[probe.kind](probe)
        except Exception as error:  # whatever a stranger's answer sets off is that check's verdict
            output = f"{probe.kind.value} {probe.target}: {_words(error)}"
    return Verdict(check=probe.check, status=status, output=shortened(output, probe.output_bytes))


def _words(error: BaseException) -> str:
    """The error's own words, or those of the first one that it groups, or its kind."""
    if isinstance(error, BaseExceptionGroup):
        return _words(error.exceptions[0])
    return str(error) or type(error).__name__
