"""Handlers of jobs that misbehave as their request says, and log what they do.

Workers import this module: it imports nothing of the harness that they need not have.
"""

import os
import time
from pathlib import Path
from typing import Any

from engine.tasks.context import JobContext
from tests.faults import job_log
from tests.faults.misdeeds import MISDEEDS

_STEP_S = 0.05


def run(job: JobContext) -> dict[str, Any]:
    """Work, misbehave in the first `times` attempts, work on, and return what was asked for.

    Payload: `key`, returned; `misdeed`, a name, none if empty; `times`; `work_s`;
    `log`, the folder of the log.
    """
    payload = job.payload
    with job_log.begun(Path(payload["log"]), job.job_id, job.attempt) as attempt:
        _work(job, payload["work_s"])
        _misbehave(job, attempt, payload["misdeed"], payload["times"])
        _work(job, payload["work_s"])
        return {"key": payload["key"], "number": attempt.number}


def _misbehave(job: JobContext, attempt: job_log.Attempt, misdeed: str, times: int) -> None:
    if misdeed and attempt.number <= times:
        attempt.note("fault", misdeed=misdeed)
        MISDEEDS[misdeed].commit(job.advance)


def _work(job: JobContext, duration_s: float) -> None:
    until_s = time.monotonic() + duration_s
    # A child that a misdeed forked never comes here: it has not this number.
    worker = os.getpid()
    while (left_s := until_s - time.monotonic()) > 0 and os.getpid() == worker:
        time.sleep(min(_STEP_S, left_s))
        job.advance()
