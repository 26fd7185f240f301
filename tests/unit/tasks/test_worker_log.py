"""What a worker logs, as its host reads it."""

import logging

import pytest

from engine.tasks.hand import Job
from engine.tasks.worker_log import configure_worker_log
from engine.workers.output import ProcessOutput

JOB = Job("01ARZ3NDEKTSV4RRFFQ69G5FAV", "token", "score", b"{}", request_id="r-1")


@pytest.fixture(autouse=True)
def _logging_as_before():
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]
    root.handlers.clear()
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_lines_name_the_job_in_hand_and_its_host_understands(capsys):
    in_hand = [JOB, None]
    configure_worker_log("info", lambda: in_hand[0])
    logging.getLogger("job.score").info("%d rows", 7)
    in_hand.pop(0)
    logging.getLogger("worker").warning("idle")

    logging.getLogger().handlers.clear()
    seen = []
    listener = logging.Handler()
    listener.emit = seen.append
    logging.getLogger().addHandler(listener)
    ProcessOutput("worker output", {}).feed(capsys.readouterr().err.encode(), 0.0)

    first, second = seen
    assert (first.job_id, first.request_id, first.line) == (
        JOB.job_id,
        "r-1",
        "INFO job.score: 7 rows",
    )
    assert (second.levelname, second.line) == ("WARNING", "WARNING worker: idle")
    assert not hasattr(second, "job_id")
