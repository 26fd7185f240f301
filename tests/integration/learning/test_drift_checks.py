"""Looks for drift over a real data file and real jobs; the worker is played."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
import trio

from engine.config import DriftSpec, ObservationsSpec, PolicySpec
from engine.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from engine.jobs import JobFailure
from engine.learning.drift_checks import WindowTooEarlyError
from engine.learning.drift_rows import ANSWER_COLUMN, SCORE_COLUMN, fetch_drift_rows
from engine.learning.payloads import DETECT_DRIFT, TRAIN, read_drift_check
from engine.models.policy import Cause
from engine.services.monitor_service import MonitorService
from engine.tracing import open_tracing, read_trace_settings
from proto.trellis.v1 import monitor_pb2 as pb
from tests.integration.learning.loop_world import FEATURES, MODEL, SECOND, Loop, open_loop
from tests.support.otlp_receiver import OtlpReceiver, ReceivedSpan
from tests.support.serving_engine import wait_until

EVENTS = ((1, "view", 10), (1, "buy", 12), (2, "view", 30))
DRIFTED = {"verdict": "DRIFTED", "features_drifted": 1}


async def test_a_report_lands_with_the_end_of_its_job_and_reads_back(tmp_path: Path) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.add_events(*EVENTS)
        await loop.train()
        job_id = await loop.checks.start("buyer", Cause.CALL)
        assert await loop.complete(await loop.claim())

        report = await loop.checks.find(job_id)

        assert report is not None
        assert (report.model, report.version, report.cause) == ("buyer", 2, "call")
        assert (report.rows, report.verdict) == (400, "STABLE")
        assert report.not_compared == {"buys": "no_reference"}
        views, plan = report.features
        assert (views.feature, views.psi, views.reasons) == ("views", 0.5, ["psi", "ks"])
        assert (views.current.edges, views.current.shares) == ([1.0], [0.25, 0.75])
        assert (plan.psi, plan.wasserstein, plan.new_categories) == (0.0, None, ["gold"])
        rows = await loop.store.reader.fetch_rows(
            "SELECT count(*) FROM drift_reports JOIN job_outcomes USING (job_id, commit_seq)"
        )
        assert rows == [(1,)]


async def test_the_window_ends_with_history_and_has_what_was_predicted_in_it(
    tmp_path: Path,
) -> None:
    model = attrs.evolve(
        MODEL,
        drift=DriftSpec(window=20),
        observations=ObservationsSpec(every=5, last=1000, active=100, at=()),
    )
    async with open_loop(tmp_path, model) as loop:
        await loop.add_events(*EVENTS)
        await loop.train()
        await loop.add_predictions(2, [(1, 9, 0.25), (1, 15, 0.5), (1, 30, 0.75), (1, 31, 1.0)])
        await loop.checks.start("buyer", Cause.CALL)
        request = read_drift_check(json.loads((await loop.claim()).payload_json))

        table = await fetch_drift_rows(request, loop.features, loop.store.reader)

        assert (request.window_start_us, request.window_end_us) == (10 * SECOND, 30 * SECOND)
        rows = table.to_pylist()
        assert [(row["entity_key"], row["event_time"].second) for row in rows] == [
            (1, 10),
            (1, 15),
            (1, 20),
            (1, 25),
            (1, 30),
            (2, 30),
        ]
        assert [row["buys"] for row in rows] == [0, 1, 1, 1, 1, 0]
        scores = [row[SCORE_COLUMN] for row in rows]
        assert sorted(score for score in scores if score is not None) == [0.5, 0.75]
        answers = [row[ANSWER_COLUMN] for row in rows]
        assert sorted(answer for answer in answers if answer is not None) == ["true", "true"]


async def test_a_feature_that_nobody_defines_any_more_is_not_looked_at(tmp_path: Path) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.add_events(*EVENTS)
        await loop.train()
    declared = attrs.evolve(MODEL, features=("views",))
    defined = attrs.evolve(FEATURES, features={"views": FEATURES.features["views"]})
    async with open_loop(tmp_path, declared, defined) as loop:
        await loop.checks.start("buyer", Cause.CALL)
        request = read_drift_check(json.loads((await loop.claim()).payload_json))
        assert request.features == ("views", "buys")
        table = await fetch_drift_rows(request, loop.features, loop.store.reader)
        assert "buys" not in table.column_names
        assert "views" in table.column_names


async def test_one_look_at_a_model_at_a_time_also_after_a_restart(tmp_path: Path) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.add_events(*EVENTS)
        await loop.train()
        job_id = await loop.checks.start("buyer", Cause.CALL)
        assert await loop.checks.start("buyer", Cause.SCHEDULE) == job_id
    async with open_loop(tmp_path) as loop:
        assert await loop.checks.start("buyer", Cause.CALL) == job_id
        assert await loop.complete(await loop.claim())
        assert await loop.checks.start("buyer", Cause.CALL) != job_id
        assert loop.checks.age_s("buyer") is not None


@pytest.mark.parametrize("killed", [False, True])
async def test_drift_starts_one_training_also_when_the_engine_dies_in_between(
    tmp_path: Path, killed: bool
) -> None:
    async with open_loop(tmp_path) as loop, trio.open_nursery() as nursery:
        await loop.add_events(*EVENTS)
        await loop.train()
        if not killed:
            nursery.start_soon(loop.checks.run_follow_up)
        report_id = await loop.checks.start("buyer", Cause.SCHEDULE)
        assert await loop.complete(await loop.claim(), **DRIFTED)
        if not killed:
            await check_training(loop, report_id)
        nursery.cancel_scope.cancel()
    if killed:
        async with open_loop(tmp_path) as loop, trio.open_nursery() as nursery:
            nursery.start_soon(loop.checks.run_follow_up)
            await check_training(loop, report_id)
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("killed", [False, True])
async def test_the_trace_and_the_log_say_which_look_for_drift_a_training_is_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, killed: bool
) -> None:
    caplog.set_level(logging.INFO)
    with OtlpReceiver() as receiver, traced_to(receiver):
        async with open_loop(tmp_path) as loop, trio.open_nursery() as nursery:
            await loop.add_events(*EVENTS)
            await loop.train()
            if not killed:
                nursery.start_soon(loop.checks.run_follow_up)
            report_id = await loop.checks.start("buyer", Cause.SCHEDULE)
            look = await loop.claim()
            assert await loop.complete(look, **DRIFTED)
            if not killed:
                training = await loop.claim()
            nursery.cancel_scope.cancel()
        if killed:
            async with open_loop(tmp_path) as loop, trio.open_nursery() as nursery:
                nursery.start_soon(loop.checks.run_follow_up)
                training = await loop.claim()
                nursery.cancel_scope.cancel()

        def told(name: str) -> list[ReceivedSpan]:
            return [span for span in receiver.spans if span.name == name]

        await trio.to_thread.run_sync(wait_until, lambda: len(told("send train")) == 2, 10.0)
        [sent] = told("send detect_drift")
        [followed] = told("follow up drift")
        [start] = [span for span in told("start training") if span.trace_id == sent.trace_id]
        [accepted] = [span for span in told("send train") if span.trace_id == sent.trace_id]
    assert followed.parent_id == sent.span_id
    assert followed.attributes["trellis.drift.report.id"] == report_id
    assert (start.parent_id, accepted.parent_id) == (followed.span_id, start.span_id)

    assert look.request_id
    assert training.request_id == look.request_id
    [line] = [
        vars(record)
        for record in caplog.records
        if record.message == "training started" and vars(record)["cause"] == Cause.DRIFT
    ]
    assert (line["job_id"], line["report_id"]) == (training.job_id, report_id)
    assert line["request_id"] == look.request_id


@contextmanager
def traced_to(receiver: OtlpReceiver) -> Iterator[None]:
    settings = read_trace_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint})
    with open_tracing(settings, {}, lambda _: None, lambda *_: None, close_s=5.0):
        yield


async def check_training(loop: Loop, report_id: str) -> None:
    job = await loop.claim()
    payload = json.loads(job.payload_json)
    assert (job.job_type, payload["cause"], payload["drift_report_id"]) == (
        TRAIN,
        "drift",
        report_id,
    )
    report = await loop.checks.find(report_id)
    assert report is not None
    assert report.retrain_job_id == job.job_id
    assert await loop.jobs.claim("other", None, 1, 0.2) == []


async def test_drift_within_the_cool_down_says_why_it_starts_no_training(tmp_path: Path) -> None:
    async with open_loop(tmp_path) as loop, trio.open_nursery() as nursery:
        await loop.add_events(*EVENTS)
        await loop.train()
        nursery.start_soon(loop.checks.run_follow_up)
        for _ in range(2):
            report_id = await loop.checks.start("buyer", Cause.SCHEDULE)
            job = await loop.claim()
            while job.job_type != DETECT_DRIFT:
                assert await loop.complete(job)
                job = await loop.claim()
            assert await loop.complete(job, **DRIFTED)
            with trio.fail_after(5):
                while True:
                    report = await loop.checks.find(report_id)
                    assert report is not None
                    if report.retrain_job_id or report.not_retrained_because:
                        break
                    await trio.sleep(0.01)
        assert report.retrain_job_id is None
        assert report.not_retrained_because is not None
        assert report.not_retrained_because.startswith(("policy.cool_down", "a training is"))
        assert report.not_compared == {"buys": "no_reference"}
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        ("nobody", NotFoundError, "no model named"),
        ("list", FailedPreconditionError, "has no label"),
        ("buyer", FailedPreconditionError, "no champion to compare with"),
    ],
)
async def test_what_cannot_be_looked_at_is_refused_with_the_reason(
    tmp_path: Path, model: str, error: type[Exception], message: str
) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.add_events(*EVENTS)
        with pytest.raises(error, match=message):
            await loop.checks.start(model, Cause.CALL)


async def test_nobody_looks_uncalled_before_the_window_lies_after_the_rows_of_the_training(
    tmp_path: Path,
) -> None:
    model = attrs.evolve(MODEL, drift=DriftSpec(window=20, every=1))
    async with open_loop(tmp_path, model) as loop, trio.open_nursery() as nursery:
        await loop.add_events(*EVENTS)
        await loop.train(trained_until_us=15 * SECOND)
        with pytest.raises(WindowTooEarlyError, match="when there are events of 5 s more"):
            await loop.checks.start("buyer", Cause.SCHEDULE)
        nursery.start_soon(loop.scheduler.run)
        assert await loop.jobs.claim("slot", None, 1, 1.5) == []
        await loop.add_events((1, "view", 35))
        job = await loop.claim()
        assert json.loads(job.payload_json)["cause"] == "schedule"
        assert await loop.complete(job)
        nursery.cancel_scope.cancel()
    async with open_loop(tmp_path, model) as loop:
        await loop.train(trained_until_us=30 * SECOND)
        await loop.checks.start("buyer", Cause.CALL)
        assert (await loop.claim()).job_type == DETECT_DRIFT


async def test_what_a_call_is_answered_to_have_started_is_there(tmp_path: Path) -> None:
    async with open_loop(tmp_path) as loop, trio.open_nursery() as nursery:
        await loop.add_events(*EVENTS)
        await loop.train()
        service = MonitorService(loop.jobs, loop.checks, loop.trainings)
        answers: list[pb.DriftReport] = []
        answered = trio.Event()

        async def call() -> None:
            answers.append((await service.DetectDrift(pb.DetectDriftRequest(model="buyer"))).report)
            answered.set()

        nursery.start_soon(call)
        assert await loop.complete(await loop.claim(), **DRIFTED)
        # The report is there, and nobody has decided yet what becomes of it.
        with trio.move_on_after(0.5):
            await answered.wait()
        assert answers == []
        nursery.start_soon(loop.checks.run_follow_up)
        with trio.fail_after(5):
            await answered.wait()
        training = await loop.jobs.get(answers[0].retrain_job_id)
        assert training.job_type == TRAIN
        assert await loop.complete(await loop.claim())
        answered = trio.Event()
        nursery.start_soon(call)
        assert await loop.complete(await loop.claim(), **DRIFTED)
        with trio.fail_after(5):
            await answered.wait()
        assert answers[1].retrain_job_id == ""
        assert answers[1].not_retrained_because.startswith("policy.cool_down")
        nursery.cancel_scope.cancel()


async def test_a_report_of_which_nobody_decides_is_returned_as_it_is(tmp_path: Path) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.add_events(*EVENTS)
        await loop.train()
        report_id = await loop.checks.start("buyer", Cause.CALL)
        assert await loop.complete(await loop.claim(), **DRIFTED)
        with trio.fail_after(5):
            report = await loop.checks.find_decided(report_id, 0.1)
        assert report is not None
        assert not report.is_decided
        assert await loop.checks.find_decided("none", 5.0) is None


async def test_a_call_waits_for_its_report(tmp_path: Path) -> None:
    async with open_loop(tmp_path) as loop, trio.open_nursery() as nursery:
        await loop.add_events(*EVENTS)
        await loop.train()

        async def work() -> None:
            assert await loop.complete(await loop.claim(), **DRIFTED)

        nursery.start_soon(work)
        nursery.start_soon(loop.checks.run_follow_up)
        service = MonitorService(loop.jobs, loop.checks, loop.trainings)
        report = (await service.DetectDrift(pb.DetectDriftRequest(model="buyer"))).report
        assert (report.model, report.verdict) == ("buyer", pb.DRIFT_VERDICT_DRIFTED)
        views = report.features[0]
        assert (views.psi, views.HasField("chi_squared")) == (0.5, False)
        assert list(views.current.shares) == [0.25, 0.75]
        assert (views.missing_p_value, views.adjusted_missing_p_value) == (0.25, 0.5)
        assert not report.features[1].HasField("missing_p_value")
        assert dict(report.not_compared) == {"buys": "no_reference"}
        nursery.cancel_scope.cancel()


async def test_a_call_whose_job_fails_is_told_why(tmp_path: Path) -> None:
    async with open_loop(tmp_path) as loop, trio.open_nursery() as nursery:
        await loop.add_events(*EVENTS)
        await loop.train()

        async def work() -> None:
            job = await loop.claim()
            failure = JobFailure(
                job.job_id, job.token, "too_little_data", "has 3 rows", permanent=True
            )
            await loop.jobs.fail("slot", failure)

        nursery.start_soon(work)
        service = MonitorService(loop.jobs, loop.checks, loop.trainings)
        with pytest.raises(FailedPreconditionError, match=r"too_little_data.*has 3 rows"):
            await service.DetectDrift(pb.DetectDriftRequest(model="buyer"))


async def test_reports_are_listed_page_by_page_the_latest_first(tmp_path: Path) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.add_events(*EVENTS)
        await loop.train()
        made = []
        for _ in range(5):
            made.append(await loop.checks.start("buyer", Cause.CALL))
            assert await loop.complete(await loop.claim())
        service = MonitorService(loop.jobs, loop.checks, loop.trainings)
        found, token, pages = [], "", 0
        while pages == 0 or token:
            request = pb.ListDriftReportsRequest(model="buyer", page_size=2, page_token=token)
            page = await service.ListDriftReports(request)
            found += [report.report_id for report in page.reports]
            token, pages = page.next_page_token, pages + 1
        assert (found, pages) == (made[::-1], 3)
        other = pb.ListDriftReportsRequest(model="list")
        assert not (await service.ListDriftReports(other)).reports
        with pytest.raises(InvalidArgumentError, match="page_token"):
            await service.ListDriftReports(pb.ListDriftReportsRequest(page_token="x"))


async def test_a_training_by_call_names_the_one_under_way(tmp_path: Path) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.add_events(*EVENTS)
        service = MonitorService(loop.jobs, loop.checks, loop.trainings)
        first = await service.Retrain(pb.RetrainRequest(model="buyer"))
        again = await service.Retrain(pb.RetrainRequest(model="buyer"))
        assert (first.created, again.created, again.job_id) == (True, False, first.job_id)


async def test_the_scheduler_trains_first_then_looks_and_trains_again(tmp_path: Path) -> None:
    model = attrs.evolve(
        MODEL,
        observations=ObservationsSpec(every=1, last=100, active=30),
        drift=DriftSpec(every=3600),
        policy=PolicySpec(every=3600, cool_down=1),
    )
    async with open_loop(tmp_path, model) as loop, trio.open_nursery() as nursery:
        nursery.start_soon(loop.scheduler.run)
        assert await loop.jobs.claim("slot", None, 1, 1.5) == []  # there is nothing to learn from
        await loop.add_events(*((user, "view", 10) for user in range(20)), (1, "buy", 40))
        job = await loop.claim_within(15)
        assert (job.job_type, json.loads(job.payload_json)["cause"]) == (TRAIN, "first")
        assert await loop.complete(job)
        job = await loop.claim()
        assert (job.job_type, json.loads(job.payload_json)["cause"]) == (DETECT_DRIFT, "schedule")
        assert await loop.complete(job)
        assert await loop.jobs.claim("slot", None, 1, 1.5) == []  # nothing is due for an hour
        nursery.cancel_scope.cancel()
