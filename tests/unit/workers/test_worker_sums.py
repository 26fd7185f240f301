"""What workers count, as metrics."""

import itertools
import math

import pytest
from prometheus_client import REGISTRY

from engine.workers import worker_sums
from engine.workers.worker_sums import WorkerSums

_NUMBERS = itertools.count()


def counted(job_type: str, name: str) -> float | None:
    return REGISTRY.get_sample_value(
        "trellis_job_counter_total", {"job_type": job_type, "name": name}
    )


def jobs_done() -> float:
    return REGISTRY.get_sample_value("trellis_worker_jobs_done_total") or 0.0


def test_a_worker_adds_what_is_new_and_its_successor_starts_from_zero() -> None:
    before = jobs_done()
    first, second = WorkerSums(), WorkerSums()

    first.take(2, {"tally/rows": 5.0})
    first.take(2, {"tally/rows": 5.0})
    first.take(3, {"tally/rows": 7.5, "tally/files": 1.0})
    second.take(1, {"tally/rows": 2.0})

    assert counted("tally", "rows") == 9.5
    assert counted("tally", "files") == 1
    assert jobs_done() - before == 4


def test_a_report_that_was_overtaken_changes_nothing() -> None:
    before = jobs_done()
    sums = WorkerSums()

    sums.take(3, {"overtaken/rows": 5.0})
    sums.take(1, {"overtaken/rows": 2.0})
    sums.take(3, {"overtaken/rows": 6.0})

    assert counted("overtaken", "rows") == 6
    assert jobs_done() - before == 3


@pytest.mark.parametrize("name", ["rows", "odd/Rows", "odd/user 7", "odd/rows/more", "/rows", ""])
def test_what_is_no_name_becomes_no_series(name: str) -> None:
    WorkerSums().take(0, {name: 1.0})

    job_type, _, counter = name.partition("/")
    assert counted(job_type, counter) is None


@pytest.mark.parametrize("amount", [math.inf, math.nan, -1.0])
def test_what_is_no_amount_is_not_added(amount: float) -> None:
    sums = WorkerSums()
    name = f"rows_{next(_NUMBERS)}"

    sums.take(0, {f"odd/{name}": amount})
    assert counted("odd", name) is None

    sums.take(0, {f"odd/{name}": 2.0})
    assert counted("odd", name) == 2


def test_series_are_bounded_and_the_first_ones_go_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker_sums, "_KNOWN", worker_sums._KnownCounters())
    sums = WorkerSums()

    sums.take(0, {f"many/rows_{number}": 1.0 for number in range(1_000)})
    sums.take(0, {"many/rows_0": 3.0})

    assert counted("many", "rows_0") == 3
    assert counted("many", "rows_255") == 1
    assert counted("many", "rows_256") is None
    assert len(caplog.records) == 1
