"""Facts about the machine, without which figures say little.

Belongs here: what is read once, at the start. Never here: samples.
"""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any


def facts() -> dict[str, Any]:
    return {
        "cores": cores(),
        "processor": _processor(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "openssl_of_generator_and_peers": _output("openssl", "version"),
        "load_before": os.getloadavg()[0],
        "commit": _output("git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"),
    }


def cores() -> int:
    return len(os.sched_getaffinity(0))


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except OSError:
        return ""
    return done.stdout.strip()
