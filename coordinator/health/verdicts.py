"""What probes found over time, and the status that follows. Pure: `now` is handed in.

Belongs here: one host's run of results, and joining hosts. Never here: who probes what, or writing.

Two steps, so that one lost packet on one host changes nothing:

- a host's status changes after as many results in a row as the check's definition asks for, exactly as in
  a Consul agent;
- the check's status is that of the majority of the hosts whose last result is fresh: critical if more
  than half of them say so, warning if more than half say warning or critical, else passing. So of two
  hosts that disagree the better one counts: the service does answer somebody. Where no host has a fresh
  status, the check stays as it is: silence is no verdict.
"""

from collections.abc import Iterable

import msgspec

from cluster.catalog import Health
from cluster.probes import Probe, Verdict

from .probes import Thresholds

#: A result is fresh for so many intervals, and the time that the next ones may take.
FRESH_INTERVALS = 3.0


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One host's latest results on one check. `status` is None until it was decided once."""

    status: Health | None = None
    output: str = ""
    successes: int = 0
    failures: int = 0
    at: float = float("-inf")


def after(run: Run, verdict: Verdict, limits: Thresholds, now: float) -> Run:
    """The run with one more result. Source: Consul, `agent/checks` StatusHandler."""
    if verdict.status is not Health.CRITICAL:
        successes = run.successes + 1
        status = verdict.status if successes >= limits.success_before_passing else run.status
        return Run(status=status, output=verdict.output, successes=successes, at=now)
    failures = run.failures + 1
    status = run.status
    if failures >= limits.failures_before_critical:
        status = Health.CRITICAL
    elif failures >= limits.failures_before_warning:
        status = Health.WARNING
    return Run(status=status, output=verdict.output, failures=failures, at=now)


def is_fresh(run: Run, probe: Probe, now: float) -> bool:
    """Whether a host's run still says something about now."""
    return now - run.at <= FRESH_INTERVALS * (probe.interval_seconds + probe.timeout_seconds)


def joined(runs: Iterable[Run]) -> tuple[Health, str] | None:
    """The status of a check by the fresh runs of its hosts, and the output of one that says so."""
    decided = [run for run in runs if run.status is not None]
    if not decided:
        return None
    critical = sum(run.status is Health.CRITICAL for run in decided)
    unwell = sum(run.status is not Health.PASSING for run in decided)
    status = Health.PASSING
    if 2 * critical > len(decided):
        status = Health.CRITICAL
    elif 2 * unwell > len(decided):
        status = Health.WARNING
    same = (run.output for run in decided if run.status is status)
    return status, next(same, decided[0].output)
