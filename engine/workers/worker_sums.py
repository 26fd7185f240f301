"""What workers count, as metrics of the engine."""

import logging
import math
import re
from collections.abc import Mapping
from typing import Final

from engine import metrics

logger = logging.getLogger(__name__)

_COUNTER: Final = re.compile(r"[a-z][a-z0-9_]{0,62}/[a-z][a-z0-9_]{0,62}", re.ASCII)
_MOST_COUNTERS: Final = 256
"""Every one is a series for as long as the engine runs."""


class _KnownCounters:
    """The counters there may be: the first so many that workers have told of."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._refused = False

    def accepts(self, name: str) -> bool:
        """Tell whether a counter is shown."""
        if name in self._names:
            return True
        if len(self._names) < _MOST_COUNTERS and _COUNTER.fullmatch(name):
            self._names.add(name)
            return True
        if not self._refused:
            self._refused = True
            facts = {"counter": name[:130], "most": _MOST_COUNTERS}
            logger.warning("a counter of a job is not shown; nor will others be", extra=facts)
        return False


_KNOWN: Final = _KnownCounters()


class WorkerSums:
    """Turns the sums that one worker reports into what has come since its last report.

    A worker that replaces another begins at zero, and so does its `WorkerSums`. Reports of one
    worker may overtake each other: what is less than known is an old one.
    """

    def __init__(self) -> None:
        self._jobs_done = 0
        self._sums: dict[str, float] = {}

    def take(self, jobs_done: int, sums: Mapping[str, float]) -> None:
        """Add what is new to the metrics.

        Args:
          jobs_done: since the worker began.
          sums: of its jobs' counters since it began, by `job_type/name`.
        """
        if jobs_done > self._jobs_done:
            metrics.WORKER_JOBS_DONE.inc(jobs_done - self._jobs_done)
            self._jobs_done = jobs_done
        for name, total in sums.items():
            known = self._sums.get(name, 0.0)
            if total > known and math.isfinite(total) and _KNOWN.accepts(name):
                job_type, _, counter = name.partition("/")
                metrics.JOB_COUNTER.labels(job_type, counter).inc(total - known)
                self._sums[name] = total
