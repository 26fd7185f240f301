"""What a worker logs, as its host reads it."""

import logging

import pytest

from engine.logs import REDACTOR
from engine.tasks.hand import Callers, Hand, Job
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
    hand = Hand()
    configure_worker_log("info", hand)
    hand.running = JOB
    logging.getLogger("job.score").info("%d rows", 7)
    hand.running = None
    logging.getLogger("worker").warning("idle")

    first, second = read_by_host(capsys.readouterr().err)
    assert (first.job_id, first.request_id, first.line) == (
        JOB.job_id,
        "r-1",
        "INFO job.score: 7 rows",
    )
    assert (second.levelname, second.line) == ("WARNING", "WARNING worker: idle")
    assert not hasattr(second, "job_id")


def read_by_host(text: str) -> list[logging.LogRecord]:
    logging.getLogger().handlers.clear()
    seen: list[logging.LogRecord] = []
    listener = logging.Handler()
    listener.emit = seen.append
    logging.getLogger().addHandler(listener)
    ProcessOutput("worker output", {}).feed(text.encode(), 0.0)
    return seen


@pytest.mark.parametrize("traced", [False, True])
def test_lines_of_what_is_done_for_callers_name_one_or_a_few_of_them(capsys, traced):
    traces = tuple(f"{number:032x}" for number in range(1, 9)) if traced else ()
    requests = tuple(f"{'r' * 62}-{number}" for number in range(8))
    hand = Hand()
    configure_worker_log("info", hand)
    hand.running = Job("01ARZ3NDEKTSV4RRFFQ69G5FAV", "token", "score", b"{}")
    for count in (1, 8, 0):
        hand.callers = Callers(requests[:count], traces[:count])
        logging.getLogger("py.warnings").warning("overflow")

    of_one, of_many, of_none = map(vars, read_by_host(capsys.readouterr().err))
    assert {one["line"] for one in (of_one, of_many, of_none)} == {"WARNING py.warnings: overflow"}
    assert of_one["request_id"] == requests[0]
    assert of_one.get("trace_id") == (traces[0] if traced else None)
    assert of_many["request_ids"] == list(requests)
    assert of_many.get("trace_ids") == (list(traces) if traced else None)
    assert not of_none.keys() & {"request_id", "request_ids", "trace_id", "trace_ids"}


def test_facts_stay_on_the_line_they_came_with_and_show_no_secret(capsys):
    REDACTOR.add(["factSecret-4711"])
    configure_worker_log("info", Hand())
    facts = {"spans": 3, "detail": "503\nkey=factSecret-4711"}
    logging.getLogger("traces").warning("spans dropped", extra=facts)
    [line] = read_by_host(capsys.readouterr().err)
    assert line.line == "WARNING traces: spans dropped spans=3 detail=503\\nkey=***"
