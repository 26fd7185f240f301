"""What every benchmark says in the same way: the machine, medians and spread."""

import os
import platform
import statistics
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import psutil


def describe_machine() -> str:
    """Return one line on the hardware, since a figure means nothing without it."""
    model = platform.processor() or "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory_gib = psutil.virtual_memory().total / 2**30
    return (
        f"{model}, {os.cpu_count()} cores shared by everything measured, {memory_gib:.0f} GiB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    )


def describe_spread(samples: Sequence[float], unit: str, digits: int = 2) -> str:
    """Return median, lowest and highest of the samples."""
    return (
        f"{statistics.median(samples):,.{digits}f} {unit} "
        f"({min(samples):,.{digits}f} to {max(samples):,.{digits}f}, n={len(samples)})"
    )


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of the samples lie."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def resident_mib(pid: int) -> float:
    """Return a process's resident memory, without its children."""
    return float(psutil.Process(pid).memory_info().rss) / 2**20


def cpu_s(*processes: psutil.Process) -> float:
    """Return the CPU time that processes have used, their children's apart."""
    return float(sum(sum(process.cpu_times()[:2]) for process in processes))


def read_metrics(address: str) -> str:
    """Return the page of metrics that an engine serves at its address."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10.0) as reply:
        page: bytes = reply.read()
    return page.decode()
