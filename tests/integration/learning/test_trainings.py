"""Trainings over a real data file and real jobs; the worker is played."""

import io
import json
import math
from pathlib import Path

import attrs
import pyarrow as pa
import pytest
import trio

from engine.clock import read_clock_us
from engine.config import LabelSpec, PolicySpec, UploadSpec
from engine.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from engine.jobs import JobFailure
from engine.learning import ages
from engine.learning.payloads import TRAIN, read_training
from engine.learning.training_rows import fetch_training_rows, stream_table
from engine.models.policy import Cause
from tests.integration.learning.loop_world import (
    FEATURES,
    MODEL,
    RESULT,
    SECOND,
    metric,
    open_loop,
    time_at,
)


async def test_a_training_becomes_the_champion_with_the_end_of_its_job(tmp_path: Path) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.add_events((1, "view", 10), (1, "buy", 12), (2, "view", 30))
        started = await loop.trainings.start("buyer", Cause.CALL, request_id="r")
        job = await loop.claim()
        assert (job.job_id, job.job_type, job.request_id) == (started.job_id, TRAIN, "r")

        assert await loop.complete(job)

        version = loop.models.get("buyer")
        assert (version.version, version.features) == (2, ("views", "buys"))
        assert version.trained is not None
        assert version.trained.job_id == job.job_id
        assert version.trained.training_commit_seq == 2
        rows = await loop.store.reader.fetch_rows(
            "SELECT a.version FROM model_artifacts a JOIN job_outcomes o USING (commit_seq)"
        )
        assert rows == [(2,)]


async def test_its_rows_are_features_as_of_then_and_what_came_after(tmp_path: Path) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.add_events(
            (1, "view", 10), (1, "buy", 12), (1, "buy", 15), (2, "view", 20), (2, "buy", 26)
        )
        await loop.trainings.start("buyer", Cause.CALL)
        await loop.add_events((1, "buy", 11))  # after the commit that the training sees
        request = read_training(json.loads((await loop.claim()).payload_json))

        table = await fetch_training_rows(request, loop.features, loop.store.reader, {})

        assert table.to_pylist() == [
            {"entity_key": key, "event_time": at, "label": label, "views": views, "buys": buys}
            for key, at, label, views, buys in [
                (1, time_at(10), True, 1, 0),
                (1, time_at(20), False, 1, 2),
                (2, time_at(20), False, 1, 0),
            ]
        ]


async def test_a_feature_that_only_the_champion_had_and_nobody_defines_any_more_is_left_out(
    tmp_path: Path,
) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.add_events((1, "view", 10), (1, "buy", 12), (2, "view", 30))
        await loop.train()
    declared = attrs.evolve(MODEL, features=("views",))
    defined = attrs.evolve(FEATURES, features={"views": FEATURES.features["views"]})
    async with open_loop(tmp_path, declared, defined) as loop:
        await loop.trainings.start("buyer", Cause.CALL)
        request = read_training(json.loads((await loop.claim()).payload_json))
        assert request.champion_features == ("views", "buys")

        table = await fetch_training_rows(request, loop.features, loop.store.reader, {})

        assert table.column_names == ["entity_key", "event_time", "label", "views"]
        paid = LabelSpec(within=5, source="uploads.orders", column="paid")
        for asked, lost in (
            (attrs.evolve(request, features=("buys",)), "buys"),
            (attrs.evolve(request, label=paid), r"uploads\.orders\.paid"),
        ):
            with pytest.raises(FailedPreconditionError, match=f"does not define {lost} any more"):
                await fetch_training_rows(asked, loop.features, loop.store.reader, {})


async def test_a_model_of_uploads_alone_learns_without_any_events(tmp_path: Path) -> None:
    uploads = {"outcomes": UploadSpec("user", "user_id", "at", {"bought": "bool", "age": "int64"})}
    defined = attrs.evolve(FEATURES, uploads=uploads)
    label = LabelSpec(within=5, source="uploads.outcomes", column="bought")
    async with open_loop(tmp_path, attrs.evolve(MODEL, label=label), defined) as loop:
        with pytest.raises(FailedPreconditionError, match="nothing to learn from"):
            await loop.trainings.start("buyer", Cause.CALL)
        await loop.add_outcomes("outcomes", (1, 10, {"bought": True}), (2, 20, {"bought": False}))
        future_s = read_clock_us() // SECOND + 3600
        await loop.add_outcomes("outcomes", (3, future_s, {"bought": True}))
        await loop.trainings.start("buyer", Cause.CALL)
        request = read_training(json.loads((await loop.claim()).payload_json))
        table = await fetch_training_rows(request, loop.features, loop.store.reader, uploads)
        assert table.select(["entity_key", "label"]).to_pylist() == [
            {"entity_key": 1, "label": True},
            {"entity_key": 2, "label": False},
        ]


async def test_rows_travel_in_parts_and_arrive_whole() -> None:
    table = pa.table({"n": pa.array(range(500_000), pa.int64())})
    parts = [part async for part in stream_table(table)]
    assert len(parts) > 2
    assert max(map(len, parts)) < 2 * 1024 * 1024
    with pa.ipc.open_stream(io.BytesIO(b"".join(parts))) as reader:
        assert reader.read_all().equals(table)


async def test_one_training_of_a_model_at_a_time_also_after_a_restart(tmp_path: Path) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.add_events((1, "view", 10))
        first = await loop.trainings.start("buyer", Cause.CALL)
        again = await loop.trainings.start("buyer", Cause.CALL)
        assert (again.job_id, again.refusal) == (first.job_id, "a training is under way")
    async with open_loop(tmp_path) as loop:
        again = await loop.trainings.start("buyer", Cause.CALL)
        assert (again.job_id, again.refusal) == (first.job_id, "a training is under way")
        assert await loop.complete(await loop.claim())
        assert (await loop.trainings.start("buyer", Cause.CALL)).refusal is None


async def test_a_training_runs_again_only_while_no_other_of_its_model_does(
    tmp_path: Path,
) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.add_events((1, "view", 10))
        await loop.trainings.start("buyer", Cause.CALL)
        first = await loop.claim()
        failure = JobFailure(first.job_id, first.token, "one_class", "all false", permanent=True)
        await loop.jobs.fail("slot", failure)
        second = (await loop.trainings.start("buyer", Cause.CALL)).job_id

        with pytest.raises(FailedPreconditionError, match=f"training {second} of 'buyer' is under"):
            await loop.jobs.retry(first.job_id)

        assert await loop.complete(await loop.claim())
        await loop.jobs.retry(first.job_id)
        again = await loop.trainings.start("buyer", Cause.CALL)
        assert (again.job_id, again.refusal) == (first.job_id, "a training is under way")
        # What it was judged beside is champion no more.
        assert await loop.complete(await loop.claim(), metrics=metric(0.9))
        assert loop.models.find("buyer").aliases == {"champion": 2, "challenger": 3}


async def test_trainings_that_nobody_called_for_cool_down_also_after_a_restart(
    tmp_path: Path,
) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.add_events((1, "view", 10))
        assert (await loop.trainings.start("buyer", Cause.DRIFT, "R1")).refusal is None
        assert await loop.complete(await loop.claim())
        refusal = (await loop.trainings.start("buyer", Cause.DRIFT, "R2")).refusal
        assert refusal is not None
        assert "cool_down" in refusal
    async with open_loop(tmp_path) as loop:
        assert (await loop.trainings.start("buyer", Cause.SCHEDULE)).refusal is not None
        assert (await loop.trainings.start("buyer", Cause.CALL)).refusal is None


async def test_drift_that_trainings_do_not_cure_is_counted_until_a_look_finds_none(
    tmp_path: Path,
) -> None:
    model = attrs.evolve(MODEL, policy=PolicySpec(cool_down=1))
    async with open_loop(tmp_path, model) as loop:
        await loop.add_events((1, "view", 10))
        await loop.train()
        for _ in range(3):
            with trio.fail_after(10):
                while True:  # until the cool-down is over
                    if (await loop.trainings.start("buyer", Cause.DRIFT)).refusal is None:
                        break
                    await trio.sleep(0.05)
            assert await loop.complete(await loop.claim())
    model = attrs.evolve(MODEL, policy=PolicySpec(cool_down=3600))
    for _ in range(2):
        async with open_loop(tmp_path, model) as loop:
            refusal = (await loop.trainings.start("buyer", Cause.DRIFT)).refusal
            assert refusal is not None
            assert "14400 s after 3 trainings that have not cured the drift" in refusal
    async with open_loop(tmp_path, model) as loop:
        await loop.checks.start("buyer", Cause.CALL)
        assert await loop.complete(await loop.claim(), verdict="STABLE")
        refusal = (await loop.trainings.start("buyer", Cause.DRIFT)).refusal
        assert refusal is not None
        assert "cured" not in refusal
    async with open_loop(tmp_path, model) as loop:
        assert (await loop.trainings.start("buyer", Cause.DRIFT)).refusal is not None


async def test_a_clock_that_was_set_back_holds_up_no_schedule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.add_events((1, "view", 10))
        assert (await loop.trainings.start("buyer", Cause.SCHEDULE)).refusal is None
        assert await loop.complete(await loop.claim())
    monkeypatch.setattr(ages, "read_clock_us", lambda: 0)
    async with open_loop(tmp_path) as loop:
        age_s = loop.trainings.age_s("buyer")
        assert age_s is not None
        assert 0 <= age_s < 60


@pytest.mark.parametrize("value", [math.nan, math.inf])
async def test_a_result_with_metrics_that_are_no_numbers_makes_no_version(
    tmp_path: Path, value: float
) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.add_events((1, "view", 10))
        await loop.trainings.start("buyer", Cause.CALL)
        job = await loop.claim()
        with pytest.raises(InvalidArgumentError, match="roc_auc is no number"):
            await loop.endings.complete(job, {**RESULT, "metrics": metric(value)})


@pytest.mark.parametrize(("value", "champion", "challenger"), [(0.8, 3, None), (0.6, 2, 3)])
async def test_the_better_one_on_the_same_rows_is_champion(
    tmp_path: Path, value: float, champion: int, challenger: int | None
) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.add_events((1, "view", 10))
        for metrics, of_champion in ((0.7, None), (value, metric(0.7))):
            await loop.trainings.start("buyer", Cause.CALL)
            await loop.complete(
                await loop.claim(), metrics=metric(metrics), champion_metrics=of_champion
            )
        aliases = loop.models.find("buyer").aliases
        assert (aliases["champion"], aliases.get("challenger")) == (champion, challenger)


async def test_a_champion_that_changed_meanwhile_stays(tmp_path: Path) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.add_events((1, "view", 10))
        for _ in range(2):
            await loop.trainings.start("buyer", Cause.CALL)
            await loop.complete(await loop.claim(), champion_metrics=metric(0.1))
        await loop.trainings.start("buyer", Cause.CALL)
        job = await loop.claim()
        await loop.models.set_alias("buyer", "champion", 2)
        await loop.complete(job, metrics=metric(0.9), champion_metrics=metric(0.1))
        assert loop.models.find("buyer").aliases == {"champion": 2, "challenger": 4}


async def test_a_failed_training_leaves_the_champion_and_a_line_in_the_log(tmp_path: Path) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.add_events((1, "view", 10))
        await loop.trainings.start("buyer", Cause.CALL)
        await loop.complete(await loop.claim())
        await loop.trainings.start("buyer", Cause.CALL)
        job = await loop.claim()
        failure = JobFailure(job.job_id, job.token, "one_class", "all are false", permanent=True)
        await loop.jobs.fail("slot", failure)
        assert loop.models.find("buyer").aliases == {"champion": 2}
        [(detail,)] = await loop.store.reader.fetch_rows(
            "SELECT detail FROM model_log WHERE change = 'training failed'"
        )
        assert json.loads(detail)["code"] == "one_class"
        assert (await loop.trainings.start("buyer", Cause.CALL)).refusal is None


async def test_a_result_that_is_none_makes_no_version(tmp_path: Path) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.add_events((1, "view", 10))
        await loop.trainings.start("buyer", Cause.CALL)
        assert not await loop.complete(await loop.claim(), metrics="good")
        assert loop.models.get("buyer").version == 1


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        ("nobody", NotFoundError, "no model named 'nobody'"),
        ("list", FailedPreconditionError, "has no label"),
        ("called", FailedPreconditionError, "declare it in models.yaml"),
        ("buyer", FailedPreconditionError, "nothing to learn from"),
    ],
)
async def test_what_cannot_be_trained_is_refused_with_the_reason(
    tmp_path: Path, model: str, error: type[Exception], message: str
) -> None:
    async with open_loop(tmp_path) as loop:
        await loop.models.register("called", ["views"])
        with pytest.raises(error, match=message):
            await loop.trainings.start(model, Cause.CALL)


async def test_policy_of_the_file_decides_about_promotion(tmp_path: Path) -> None:
    model = attrs.evolve(MODEL, policy=PolicySpec(at_least=0.9))
    async with open_loop(tmp_path, model) as loop:
        await loop.add_events((1, "view", 10))
        await loop.trainings.start("buyer", Cause.CALL)
        await loop.complete(await loop.claim())
        assert loop.models.find("buyer").aliases == {"challenger": 2}


async def test_a_version_short_of_at_least_is_no_champion_to_be_compared_with(
    tmp_path: Path,
) -> None:
    model = attrs.evolve(MODEL, policy=PolicySpec(at_least=0.9))
    async with open_loop(tmp_path, model) as loop:
        await loop.add_events((1, "view", 10))
        await loop.train()
        await loop.trainings.start("buyer", Cause.CALL)
        job = await loop.claim()
        assert json.loads(job.payload_json)["champion_version"] is None
        assert await loop.complete(job, metrics=metric(0.8))

        assert loop.models.find("buyer").aliases == {"challenger": 3}
        with pytest.raises(FailedPreconditionError, match="no champion"):
            await loop.checks.start("buyer", Cause.CALL)
