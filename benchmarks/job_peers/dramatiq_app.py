"""The jobs in Dramatiq, and who sends them: see `job_peers/sending.py`."""

import os
import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.job_marks import mark
from benchmarks.job_peers.sending import send_from_command_line

dramatiq.set_broker(RedisBroker(url=os.environ["JOBS_REDIS_URL"]))


@dramatiq.actor
def noop() -> None:
    """The whole job."""


@dramatiq.actor
def work(log: str, seconds: float) -> None:
    """Work for some seconds."""
    mark(log, "begin")
    time.sleep(seconds)


if __name__ == "__main__":
    send_from_command_line(noop.send, work.send)
