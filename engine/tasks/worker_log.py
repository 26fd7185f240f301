"""What a worker logs: lines on its standard error, which its host puts into the engine's log."""

import logging
import sys
from collections.abc import Callable
from typing import Final

from engine.tasks.hand import Job

_FORMAT: Final = "%(levelname)s %(name)s%(job)s: %(message)s"


class _WorkerFormatter(logging.Formatter):
    """Has each line begin with its level and the job it is about, where the host looks for them."""

    def __init__(self, job_in_hand: Callable[[], Job | None]) -> None:
        super().__init__(_FORMAT)
        self._job_in_hand = job_in_hand

    def format(self, record: logging.LogRecord) -> str:
        record.job = _mark(self._job_in_hand())
        return super().format(record)


def configure_worker_log(level: str, job_in_hand: Callable[[], Job | None]) -> None:
    """Log to standard error.

    Raises:
      ValueError: no level is named so.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_WorkerFormatter(job_in_hand))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(capture=True)


def _mark(job: Job | None) -> str:
    if job is None:
        return ""
    request = f" request {job.request_id}" if job.request_id else ""
    # The second part of a traceparent.
    trace = f" trace {job.traceparent.split('-')[1]}" if job.traceparent else ""
    return f" [job {job.job_id}{request}{trace}]"
