"""The live line and the banner."""

import datetime
import io
from functools import partial

import attrs
import pytest
import trio
from rich.console import Console
from trio.testing import MockClock

from engine import metrics
from engine.cli.console import (
    EngineStats,
    ModelStats,
    compute_line,
    compute_summary,
    print_banner,
    read_stats,
    run_live_line,
)
from engine.ready import ReadyInfo

ZERO = EngineStats(
    events=0,
    rejected=0,
    lag_messages=0,
    commits=0,
    commit_seconds=0,
    entities=0,
    restarts=0,
    workers=0,
    busy=0,
    parked=0,
    replaced=0,
    jobs=0,
    uploads=0,
)


def test_the_line_tells_rates_of_the_interval() -> None:
    before = attrs.evolve(ZERO, events=1_000, commits=10, commit_seconds=1.0)
    now = attrs.evolve(
        ZERO,
        events=11_000,
        commits=14,
        commit_seconds=1.01,
        lag_messages=1234,
        entities=50_000,
        workers=2,
        busy=1,
        jobs=1_500,
        uploads=12,
    )

    line = compute_line(before, now, 0.5)

    assert line == (
        "20,000 events/s  ·  lag 1,234  ·  commit 2.5 ms  ·  50,000 entities  ·  "
        "2 workers, 1 busy  ·  1,500 jobs  ·  12 uploads"
    )


def test_the_line_without_commits_and_with_what_went_wrong() -> None:
    now = attrs.evolve(ZERO, rejected=3, restarts=1, replaced=4, parked=2)
    line = compute_line(ZERO, now, 0.5)

    assert "commit –" in line
    assert line.endswith("3 refused  ·  4 replaced  ·  2 parked  ·  1 servers restarted")


def test_the_line_tells_which_version_answers_and_whether_its_input_has_drifted() -> None:
    models = {
        "a": ModelStats(champion=4, challenger=5, drifted=True),
        "b": ModelStats(champion=2, drifted=False),
        "c": ModelStats(champion=0, challenger=2),
        "d": ModelStats(champion=9),
    }

    line = compute_line(ZERO, attrs.evolve(ZERO, models=models), 0.5)

    assert line.endswith(
        "a v4, challenger v5, drifted  ·  b v2, stable  ·  c without champion, challenger v2"
    )


def test_models_are_read_from_the_metrics_by_alias() -> None:
    metrics.MODEL_VERSION.labels("read_here", "champion").set(3)
    metrics.MODEL_VERSION.labels("read_here", "challenger").set(0)
    assert read_stats().models["read_here"] == ModelStats(champion=3)

    metrics.DRIFTED.labels("read_here").set(1)
    assert read_stats().models["read_here"] == ModelStats(champion=3, drifted=True)


def test_stats_are_read_from_the_metrics_summed_over_labels() -> None:
    before = read_stats()

    metrics.INTAKE_EVENTS.inc(7)
    metrics.WRITER_COMMIT_SECONDS.observe(0.25)
    metrics.BACKEND_RESTARTS.labels(backend="one").inc()
    metrics.BACKEND_RESTARTS.labels(backend="two").inc(2)
    for state in ("idle", "running", "waiting", "parked", "stuck"):
        metrics.WORKERS.labels(state).inc()
    metrics.WORKER_RESTARTS.labels("died").inc(2)
    metrics.JOBS_FINISHED.labels("process_upload", "SUCCEEDED").inc(5)
    metrics.JOBS_FINISHED.labels("process_upload", "FAILED").inc()
    metrics.JOBS_FINISHED.labels("mine", "SUCCEEDED").inc()

    now = read_stats()
    assert now.events - before.events == 7
    assert now.commits - before.commits == 1
    assert now.commit_seconds - before.commit_seconds == pytest.approx(0.25)
    assert now.restarts - before.restarts == 3
    assert now.workers - before.workers == 2
    assert (now.busy - before.busy, now.parked - before.parked) == (1, 1)
    assert now.replaced - before.replaced == 2
    assert (now.jobs - before.jobs, now.uploads - before.uploads) == (7, 5)


async def test_the_live_line_is_redrawn_and_leaves_nothing_behind(
    autojump_clock: MockClock,
) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120)
    readings = iter(attrs.evolve(ZERO, events=float(100 * n)) for n in range(100))

    with trio.move_on_after(2.2):
        await run_live_line(partial(next, readings), console, interval_s=1.0)

    assert out.getvalue().count("100 events/s") >= 2
    assert out.getvalue().endswith("\x1b[2K")  # the line is erased


def test_the_banner_names_the_addresses() -> None:
    out = io.StringIO()
    info = ReadyInfo(
        pid=7,
        addresses={"service_b": "127.0.0.1:50052", "metrics": "127.0.0.1:9464", "control": "x"},
        kafka="127.0.0.1:9092",
        topic="[bold]events",
        started_at=datetime.datetime.now(datetime.UTC),
    )

    print_banner(Console(file=out, width=100), info)

    assert "grpc://127.0.0.1:50052" in out.getvalue()
    assert "http://127.0.0.1:9464" in out.getvalue()
    assert "topic [bold]events" in out.getvalue()


def test_a_summary_leaves_out_zeros_but_for_the_first() -> None:
    assert compute_summary([("sent", 0), ("lost", 0)]) == "0 sent"
    assert compute_summary([("sent", 1200), ("skipped", 0), ("lost", 3)]) == "1,200 sent, 3 lost"
