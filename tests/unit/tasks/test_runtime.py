import datetime
import math
import os
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

from engine.tasks import runtime
from engine.tasks.errors import JobHandedBack, PermanentJobError
from engine.tasks.hand import Done, Failed
from engine.tasks.link import GivenUpError
from engine.workers.exits import WorkerExit
from engine.workers.page import Phase, token_mark


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    monkeypatch.setattr(runtime, "_FIRST_DELAY_S", 0.001)


def raising(error):
    def run(_job):
        raise error

    return run


def test_every_job_ends_in_one_outcome_and_in_order(inside):
    inside.table.handlers["echo"] = lambda job: {"got": job.payload["x"], "id": job.job_id}
    inside.add(*["echo"] * 100, x=7)
    assert inside.run() is WorkerExit.LEFT
    outcomes = inside.engine.handed_in
    assert [outcome.job.job_id for outcome in outcomes] == [f"job-{n}" for n in range(100)]
    assert msgspec.json.decode(outcomes[5].result_json) == {"got": 7, "id": "job-5"}
    assert inside.engine.asked[0] == 1
    assert max(inside.engine.asked) > 10
    assert inside.reader.read().phase is Phase.LEAVING
    assert inside.reader.read().begun == 100


def test_page_names_the_job_in_hand(inside):
    seen = []
    inside.table.handlers["look"] = lambda job: seen.append(inside.reader.read())
    inside.add("look", "look")
    inside.run()
    assert [view.running for view in seen] == [token_mark("token-0"), token_mark("token-1")]
    assert inside.reader.read().running is None


@pytest.mark.parametrize(
    ("error", "code", "permanent"),
    [
        (ValueError("odd"), "ValueError", False),
        (PermanentJobError("bad", "input"), "bad", True),
        (MemoryError(), "memory", False),
        (SystemExit(0), "SystemExit", False),
        (GeneratorExit(), "GeneratorExit", False),
    ],
)
def test_failing_job_is_reported_and_the_next_one_runs(inside, error, code, permanent):
    inside.table.handlers |= {"fail": raising(error), "pass": lambda job: None}
    inside.add("fail", "pass")
    assert inside.run() is WorkerExit.LEFT
    failed, done = inside.engine.handed_in
    assert isinstance(failed, Failed)
    assert (failed.failure.code, failed.failure.permanent) == (code, permanent)
    assert "in run" in failed.failure.stack
    assert "_do" not in failed.failure.stack
    assert isinstance(done, Done)


@pytest.mark.parametrize(
    "result",
    [
        7,
        "text",
        {"x": "y" * (1 << 20)},
        {"x": object()},
        {1: {2: {}}} | {"s": {object()}},
        {"x": [1.0, math.nan]},
        {"x": {"y": -math.inf}},
    ],
)
def test_result_that_is_no_json_fails_for_good(inside, result):
    inside.table.handlers["odd"] = lambda job: result
    inside.add("odd")
    inside.run()
    [failed] = inside.engine.handed_in
    assert (failed.failure.code, failed.failure.permanent) == ("bad_result", True)


def test_a_number_that_json_does_not_have_is_named_with_its_place(inside):
    inside.table.handlers["measure"] = lambda job: {"metrics": [{"auc": math.nan}]}
    inside.add("measure")
    inside.run()
    [failed] = inside.engine.handed_in
    assert failed.failure.message == (
        "the result cannot be sent: metrics[0].auc is nan, which JSON does not have"
    )


@pytest.mark.parametrize("levels", [101, 990, 5_000])
def test_a_result_that_is_nested_too_deep_to_be_read_fails_for_good(inside, levels):
    result = {}
    for _ in range(levels - 1):
        result = {"a": result}
    inside.table.handlers["deep"] = lambda job: result
    inside.add("deep")
    inside.run()
    [failed] = inside.engine.handed_in
    assert (failed.failure.code, failed.failure.permanent) == ("bad_result", True)


def test_results_keep_what_they_are_made_of(inside):
    at = datetime.datetime(2024, 5, 6, tzinfo=datetime.UTC)
    inside.table.handlers["tell"] = lambda job: {"at": at, "rows": (1, 2.5, None), 7: {"x": True}}
    inside.add("tell")
    inside.run()
    [done] = inside.engine.handed_in
    assert msgspec.json.decode(done.result_json) == {
        "at": "2024-05-06T00:00:00Z",
        "rows": [1, 2.5, None],
        "7": {"x": True},
    }


def test_endless_recursion_is_a_failure_like_others(inside):
    def recurse(job):
        return recurse(job)

    inside.table.handlers["deep"] = recurse
    inside.add("deep")
    inside.run()
    [failed] = inside.engine.handed_in
    assert failed.failure.code == "RecursionError"


def test_engine_out_of_reach_costs_no_outcome(inside):
    def cut_off(job):
        inside.engine.unreachable = 5

    inside.table.handlers["cut"] = cut_off
    inside.add("cut", "cut", "cut")
    inside.engine.unreachable = 3
    assert inside.run() is WorkerExit.LEFT
    assert [o.job.job_id for o in inside.engine.handed_in] == ["job-0", "job-1", "job-2"]


def test_cancelled_job_is_told_and_the_worker_replaced(inside):
    def sleep(job):
        threading.Timer(0.02, inside.cancellation.request, ["token-0"]).start()
        time.sleep(10)

    inside.table.handlers["sleep"] = sleep
    inside.add("sleep", "sleep")
    assert inside.run() is WorkerExit.RECYCLED
    [failed] = inside.engine.handed_in
    assert failed.failure.code == "cancelled"
    assert inside.engine.closed == 1


def test_long_job_ends_the_batch_and_outcomes_do_not_wait_for_the_next(inside):
    waited = []

    def act(job):
        number = int(job.job_id.removeprefix("job-"))
        if number == 6:
            time.sleep(0.1)
        if number == 7:
            waited.append(len(inside.engine.handed_in))

    inside.table.handlers["act"] = act
    inside.add(*["act"] * 12)
    inside.run()
    assert waited == [7]
    assert inside.engine.asked[-1] == 1


def test_order_to_leave_is_followed_after_the_job_in_hand(inside):
    inside.table.handlers["last"] = lambda job: inside.orders.leave(WorkerExit.LEFT)
    inside.add("last", "last")
    assert inside.run() is WorkerExit.LEFT
    assert len(inside.engine.handed_in) == 1


def test_worker_is_replaced_after_so_many_jobs(inside):
    inside.table.handlers["x"] = lambda job: None
    inside.add("x", "x", "x")
    assert inside.run(recycle_after_jobs=1) is WorkerExit.RECYCLED
    assert len(inside.engine.handed_in) == 1


def test_worker_takes_no_more_jobs_than_it_may_do(inside):
    inside.table.handlers["x"] = lambda job: None
    inside.add(*["x"] * 40)
    assert inside.run(recycle_after_jobs=5) is WorkerExit.RECYCLED
    assert len(inside.engine.handed_in) == 5
    assert max(inside.engine.asked) <= 4
    assert len(inside.engine.queue) == 35


def test_worker_is_replaced_when_its_memory_has_grown(inside):
    inside.table.handlers["x"] = lambda job: None
    inside.add("x")
    assert inside.run(memory_soft_bytes=1) is WorkerExit.RECYCLED


def test_worker_is_replaced_when_a_job_closes_its_descriptors(inside):
    kept = os.dup(2)
    inside.table.handlers["close"] = lambda job: os.close(2)
    inside.add("close")
    try:
        assert inside.run() is WorkerExit.RECYCLED
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    assert len(inside.engine.handed_in) == 1


@pytest.mark.parametrize("misdeed", [os.rmdir, os.chdir])
def test_worker_is_replaced_when_a_job_takes_its_folders_away(inside, misdeed):
    before = Path.cwd()
    inside.table.handlers["move"] = lambda job: misdeed(job.scratch)
    inside.add("move")
    try:
        assert inside.run() is WorkerExit.RECYCLED
    finally:
        os.chdir(before)
    assert len(inside.engine.handed_in) == 1


def test_worker_that_was_given_up_hands_in_nothing_more(inside):
    def refuse(outcomes):
        raise GivenUpError("unknown")

    inside.engine.hand_in = refuse
    inside.table.handlers["x"] = lambda job: None
    inside.add("x")
    assert inside.run() is WorkerExit.LEASE_LOST


def test_child_of_a_job_that_returns_is_no_second_worker(inside):
    def fork(job):
        child = os.fork()
        if child:
            os.waitpid(child, 0)

    inside.table.handlers["fork"] = fork
    inside.add("fork")
    sys.stdout.flush()
    assert inside.run() is WorkerExit.LEFT
    assert len(inside.engine.handed_in) == 1


def test_progress_is_seen_from_outside_and_cheap(inside):
    views = []

    def work(job):
        job.advance(3, total=10, note="reading")
        job.count("rows", 2)
        views.append((inside.progress.view(), inside.reader.read().progress))

    inside.table.handlers["work"] = work
    inside.add("work")
    inside.run()
    [(view, on_page)] = views
    assert (view.token, view.counter, view.total, view.note) == ("token-0", 3, 10, "reading")
    assert on_page == 3
    assert inside.progress.counters() == {"work/rows": 2.0}
    assert inside.progress.view().token is None


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"amount": 1.5}, "TypeError"),
        ({"amount": -1}, "ValueError"),
        ({"amount": 2**63}, "ValueError"),
        ({"total": 2.5}, "TypeError"),
        ({"total": 2**63}, "ValueError"),
        ({"note": b"text"}, "TypeError"),
        ({"note": 5}, "TypeError"),
    ],
)
def test_what_is_no_progress_is_refused_where_it_is_told(inside, told, code):
    views = []

    def work(job):
        job.advance(2, total=3, note="good")
        try:
            job.advance(**told)
        finally:
            views.append(inside.progress.view())

    inside.table.handlers["work"] = work
    inside.add("work")
    inside.run()
    [outcome] = inside.engine.handed_in
    assert outcome.failure.code == code
    [view] = views
    assert view.counter in {2, 3}
    assert (view.total, view.note) == (3, "good")


def test_a_note_can_always_be_sent(inside):
    notes = []

    def work(job):
        for note in ("x" * 1_000_000, "file \udcff"):
            job.advance(note=note)
            notes.append(inside.progress.view().note)

    inside.table.handlers["work"] = work
    inside.add("work")
    inside.run()
    assert notes == ["x" * 500, "file \\udcff"]


@pytest.mark.parametrize(
    ("name", "amount"), [("Rows", 1), ("", 1), ("user 7", 1), ("rows", -1), ("rows", math.nan)]
)
def test_what_is_no_counter_is_refused_where_it_is_counted(inside, name, amount):
    inside.table.handlers["work"] = lambda job: job.count(name, amount)
    inside.add("work")
    inside.run()
    [outcome] = inside.engine.handed_in
    assert outcome.failure.code == "ValueError"
    assert inside.progress.counters() == {}


def test_counters_that_would_never_end_are_dropped(inside, caplog):
    for number in range(100):
        inside.progress.count(f"work/rows_{number}", 1)
    inside.progress.count("work/rows_0", 1)

    assert len(inside.progress.counters()) == 64
    assert inside.progress.counters()["work/rows_0"] == 2
    assert len(caplog.records) == 1


def test_calls_count_as_progress_while_there_is_no_job(inside):
    inside.progress.note_call()
    assert (inside.progress.view().token, inside.progress.view().counter) == (None, 1)
    inside.progress.begin("token")
    assert inside.progress.view().counter == 0
    inside.progress.end()
    inside.progress.note_call()
    assert inside.progress.view().counter == 2


def test_job_that_hands_itself_back_has_no_outcome_and_the_next_one_runs(inside):
    inside.table.handlers |= {"resident": raising(JobHandedBack()), "pass": lambda job: None}
    inside.add("resident", "pass")
    assert inside.run() is WorkerExit.LEFT
    [done] = inside.engine.handed_in
    assert done.job.job_id == "job-1"
    assert [job.job_id for job in inside.engine.returned] == ["job-0"]


def test_job_is_told_that_its_worker_is_to_leave(inside):
    seen = []

    def stay(job):
        seen.append(job.leave_requested)
        inside.orders.leave(WorkerExit.RECYCLED)
        seen.append(job.leave_requested)
        raise JobHandedBack

    inside.table.handlers["resident"] = stay
    inside.add("resident")
    assert inside.run() is WorkerExit.RECYCLED
    assert seen == [False, True]
