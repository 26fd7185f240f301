"""What is shown of the learning loop is what is on disk."""

import json
from pathlib import Path

import trio
import trio.testing

from engine import metrics
from engine.jobs import JobFailure
from engine.learning.drift_checks import DriftEndings
from engine.models.policy import Cause
from engine.records import WriteRequest
from tests.integration.learning.loop_world import DRIFT, RESULT, Loop, open_loop

EVENTS = ((1, "view", 10), (1, "buy", 12), (2, "view", 30))


def reports_counted(verdict: str) -> float:
    return float(metrics.DRIFT_REPORTS.labels("buyer", verdict)._value.get())


def trainings_counted(outcome: str) -> float:
    return float(metrics.TRAININGS.labels("buyer", outcome)._value.get())


def psi_shown() -> float:
    return float(metrics.DRIFT_SCORE.labels("buyer", "views", "psi")._value.get())


async def check(loop: Loop, **changes: object) -> str:
    report_id = await loop.checks.start("buyer", Cause.CALL)
    assert await loop.complete(await loop.claim(), **changes)
    return report_id


async def test_a_report_is_counted_and_shown_with_its_commit_and_not_before(
    tmp_path: Path,
) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.add_events(*EVENTS)
        await loop.train()
        await loop.checks.start("buyer", Cause.CALL)
        job = await loop.claim()
        metrics.DRIFT_SCORE.labels("buyer", "views", "psi").set(0)
        before = reports_counted("drifted")

        result = {**DRIFT, "verdict": "DRIFTED"}
        operations = await DriftEndings().complete(job, result)
        assert (reports_counted("drifted"), psi_shown()) == (before, 0)
        await loop.store.writer.submit(WriteRequest(operations))
        assert (reports_counted("drifted"), psi_shown()) == (before + 1, 0.5)


async def test_what_the_last_look_found_is_shown_again_after_a_restart(tmp_path: Path) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.add_events(*EVENTS)
        await loop.train()
        await check(loop)
        await check(loop, verdict="DRIFTED")
    metrics.DRIFT_SCORE.clear()
    metrics.DRIFTED.clear()
    metrics.FEATURE_DRIFTED.clear()
    counted = reports_counted("drifted")
    async with open_loop(tmp_path):
        assert metrics.DRIFTED.labels("buyer")._value.get() == 1
        assert metrics.FEATURE_DRIFTED.labels("buyer", "views")._value.get() == 1
        assert (psi_shown(), reports_counted("drifted")) == (0.5, counted)


async def test_a_training_is_counted_with_its_commit_and_not_before(tmp_path: Path) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.add_events(*EVENTS)
        await loop.trainings.start("buyer", Cause.CALL)
        job = await loop.claim()
        before = trainings_counted("champion")
        await loop.endings.complete(job, json.loads(json.dumps(RESULT)))
        assert trainings_counted("champion") == before
        assert await loop.complete(job)
        assert trainings_counted("champion") == before + 1


async def test_a_training_that_failed_is_counted(tmp_path: Path) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.add_events(*EVENTS)
        await loop.trainings.start("buyer", Cause.CALL)
        job = await loop.claim()
        before = trainings_counted("failed")
        await loop.jobs.fail(
            "slot", JobFailure(job.job_id, job.token, "one_class", "all are false", permanent=True)
        )
        assert trainings_counted("failed") == before + 1


async def test_what_is_noted_of_a_report_does_not_have_reports_looked_through_again(
    tmp_path: Path,
) -> None:
    async with open_loop(tmp_path) as loop, trio.open_nursery() as nursery:
        await loop.add_events(*EVENTS)
        await loop.train()
        looks = 0
        fetch_rows = loop.store.reader.fetch_rows

        async def counting(sql: str, *args: object, **kwargs: object) -> object:
            nonlocal looks
            looks += "retrain_job_id IS NULL" in sql
            return await fetch_rows(sql, *args, **kwargs)

        loop.store.reader.fetch_rows = counting  # type: ignore[method-assign,assignment]
        nursery.start_soon(loop.checks.run_follow_up)
        for verdict in ("STABLE", "DRIFTED", "STABLE"):
            report_id = await check(loop, verdict=verdict)
        with trio.fail_after(5):
            while len(await loop.jobs.claim("other", None, 1, 1)) == 0:
                pass
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert report_id
        # Once at the start, once for the report of drift; its own notes are no news.
        assert looks == 2
        nursery.cancel_scope.cancel()
