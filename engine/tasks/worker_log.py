"""What a worker logs: lines on its standard error, which its host puts into the engine's log."""

import logging
import sys
from typing import Final

from engine.logs import REDACTOR, escape_controls, extras_of
from engine.tasks.hand import Callers, Hand, Job
from engine.tracing import trace_id_of

_FORMAT: Final = "%(levelname)s %(name)s%(job)s: %(message)s%(facts)s"
_FACT_CHARS: Final = 1_000


class _WorkerFormatter(logging.Formatter):
    """Has each line begin with its level and the job it is about, where the host looks for them."""

    def __init__(self, hand: Hand) -> None:
        super().__init__(_FORMAT)
        self._hand = hand

    def format(self, record: logging.LogRecord) -> str:
        record.facts = "".join(f" {name}={_show(it)}" for name, it in extras_of(record).items())
        record.job = _mark(self._hand.running, self._hand.callers)
        return super().format(record)


def configure_worker_log(level: str, hand: Hand) -> None:
    """Log to standard error.

    Raises:
      ValueError: no level is named so.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_WorkerFormatter(hand))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(capture=True)


def _show(value: object) -> str:
    return escape_controls(REDACTOR.scrub(str(value))[:_FACT_CHARS])


def _mark(job: Job | None, callers: Callers) -> str:
    if job is None:
        return ""
    requests = (job.request_id,) if job.request_id else callers.request_ids
    traces = (trace_id_of(job.traceparent),) if job.traceparent else callers.trace_ids
    request = f" request {','.join(requests)}" if requests else ""
    trace = f" trace {','.join(traces)}" if traces else ""
    return f" [job {job.job_id}{request}{trace}]"
