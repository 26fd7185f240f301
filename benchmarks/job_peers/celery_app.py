"""The jobs in Celery, and who sends them: see `job_peers/sending.py`."""

import os
import time

from celery import Celery

from benchmarks.job_marks import mark
from benchmarks.job_peers.sending import send_from_command_line

app = Celery("benchmarks.job_peers.celery_app", broker=os.environ["JOBS_REDIS_URL"])


@app.task(name="noop")
def noop() -> None:
    """The whole job."""


@app.task(name="work")
def work(log: str, seconds: float) -> None:
    """Work for some seconds."""
    mark(log, "begin")
    time.sleep(seconds)


if __name__ == "__main__":
    send_from_command_line(noop.delay, work.delay)
