"""Rows of uploads: counting once, all together, or not at all; the same online and in history."""

import json

import pyarrow as pa
import pytest
import trio

from engine.config import OnlineConfig
from engine.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    SchemaMismatchError,
)
from engine.features import FeatureStore, OnlineStore
from engine.jobs import JobFailure, JobState
from engine.jobs.journal import Outcome, write_outcomes
from engine.records import WriteRequest
from engine.uploads import RejectedRow, StagedUpload
from engine.uploads.endings import UploadEndings
from engine.uploads.row_file import RowFile
from engine.uploads.staging import StagedRows
from tests.integration.jobs.world import eventually
from tests.integration.uploads.desk import ipc
from tests.unit.features.world import FEATURE_SET, NAMES, SECOND

NOW_US = 1_700_000_000 * SECOND
HISTORY = (
    "SELECT entity_key, dataset, fields, epoch_us(event_time), ordinal FROM feature_history "
    "ORDER BY commit_seq, ordinal"
)
ROWS = [(1, '{"plan":"a"}', 10), (2, None, 20), (1, '{"plan":"b"}', 10)]
REJECT = RejectedRow(7, "age", "not_a_number", "no number", "'x'")


async def test_rows_count_once_the_job_completes_and_only_once(desk):
    receipt = await desk.send(b"[]")
    job = await desk.claim()
    await desk.stage(job, ROWS[:1], ROWS[1:])
    assert await desk.count("feature_history") == 0

    assert (await desk.complete(job, 3, 1)).accepted
    assert (await desk.complete(job, 3, 1)).accepted  # a result that is repeated

    assert await desk.rows(HISTORY) == [
        (1, "profiles", '{"plan":"a"}', 10, 0),
        (2, "profiles", None, 20, 1),
        (1, "profiles", '{"plan":"b"}', 10, 2),
    ]
    assert desk.staged_rows() == 0
    view = await desk.uploads.get(receipt.upload_id)
    assert (view.status, view.rows_accepted, view.rows_rejected) == ("COMPLETED", 3, 1)
    assert view.finished_at_us is not None
    assert (view.sha256, view.filename) == (receipt.sha256, "")


async def test_second_completion_is_refused_by_the_data_file(desk, tmp_path):
    receipt = await desk.send(b"[]")
    job = await desk.claim()
    await desk.stage(job, ROWS)
    result = {"rows_accepted": 3, "rows_rejected": 0}
    assert (await desk.complete(job, 3)).accepted
    # An engine that has forgotten that the job has ended, and that has its rows once more.
    again = StagedRows(tmp_path)
    rows = again.open(receipt.upload_id, job.token, "profiles")
    rows.append(pa.ipc.open_stream(ipc(ROWS)).read_all().to_batches())
    operations = await UploadEndings(desk.store.reader, again).complete(job, result)
    outcome = write_outcomes(
        [Outcome(job.job_id, job.run, JobState.SUCCEEDED, 1, 0, finished_at_us=NOW_US)]
    )

    with pytest.raises(SchemaMismatchError, match=f"{job.job_id}/{job.run}"):
        await desk.store.writer.submit(WriteRequest((*operations, outcome)))

    assert await desk.count("feature_history") == 3
    again.discard_all()


async def test_no_row_is_taken_once_the_job_has_completed(desk):
    receipt = await desk.send(b"[]")
    job = await desk.claim()
    staged = await desk.uploads.begin_staging(receipt.upload_id, job.job_id, job.token)
    assert await staged.add_rows(ipc(ROWS)) == 3
    assert (await desk.complete(job, 3)).accepted

    with pytest.raises(FailedPreconditionError, match="the attempt is over"):
        await staged.add_rows(ipc(ROWS))

    assert await desk.count("feature_history") == 3
    assert desk.staged_rows() == 0


async def test_disk_that_takes_no_rows_ends_the_attempt_with_the_reason(desk, tmp_path):
    receipt = await desk.send(b"[]")
    job = await desk.claim()
    folder = tmp_path / "gone"
    without_disk = StagedUpload(desk.store.writer, "u", "t", RowFile(folder, "profiles"))
    with pytest.raises(FailedPreconditionError, match=r"No such file.*free disk space"):
        await without_disk.add_rows(ipc(ROWS))
    with pytest.raises(FailedPreconditionError, match="the attempt is over"):
        await without_disk.add_rows(ipc(ROWS))

    assert (await desk.uploads.get(receipt.upload_id)).status == "RECEIVED"
    assert not (await desk.complete(job, 3)).accepted


async def test_failed_job_that_is_started_again_may_complete(desk):
    receipt = await desk.send(b"[]")
    job = await desk.claim()
    failure = JobFailure(job.job_id, job.token, "too_large", "", permanent=True)
    await desk.jobs.fail("slot", failure)
    await desk.jobs.retry(job.job_id)
    again = await desk.claim()
    await desk.stage(again, ROWS)

    assert (await desk.complete(again, 3)).accepted

    view = await desk.uploads.get(receipt.upload_id)
    assert (view.status, view.error_code, view.error) == ("COMPLETED", "", "")
    assert await desk.count("feature_history") == 3


async def test_rows_of_an_attempt_that_was_given_up_do_not_count(desk):
    receipt = await desk.send(b"[]")
    job = await desk.claim()
    await desk.stage(job, ROWS)
    await desk.jobs.fail("slot", JobFailure(job.job_id, job.token, "broke", "try again"))
    again = await desk.claim()
    assert again.token != job.token
    await desk.stage(again, ROWS[:2])

    assert (await desk.complete(again, 2)).accepted

    assert await desk.count("feature_history") == 2
    assert desk.staged_rows() == 0
    assert (await desk.uploads.get(receipt.upload_id)).rows_accepted == 2


async def test_result_without_all_of_its_rows_is_refused(desk):
    receipt = await desk.send(b"[]")
    job = await desk.claim()
    await desk.stage(job, ROWS)

    verdict = await desk.complete(job, 4)

    assert not verdict.accepted
    assert await desk.count("feature_history") == 0
    assert (await desk.uploads.get(receipt.upload_id)).status == "RECEIVED"


async def test_failed_upload_says_why_and_keeps_its_rejects(desk):
    receipt = await desk.send(b"[]")
    job = await desk.claim()
    staged = await desk.uploads.begin_staging(receipt.upload_id, job.job_id, job.token)
    await desk.stage(job, ROWS)
    await staged.add_rejects([REJECT])
    failure = JobFailure(job.job_id, job.token, "no_good_rows", "none", permanent=True)

    assert await desk.jobs.fail("slot", failure) is JobState.FAILED

    view = await desk.uploads.get(receipt.upload_id)
    assert (view.status, view.error_code, view.error) == ("FAILED", "no_good_rows", "none")
    assert (view.rows_rejected, view.rejects) == (1, (REJECT,))
    assert await desk.count("feature_history") == desk.staged_rows() == 0


async def test_cancelled_upload_is_told_apart(desk):
    receipt = await desk.send(b"[]")
    await desk.jobs.cancel(receipt.job_id)

    assert (await desk.uploads.get(receipt.upload_id)).status == "CANCELLED"


async def test_upload_whose_job_ends_before_uploads_are_open_is_told_of_it(open_desk):
    async with open_desk(until_killed=True) as killed:
        receipt = await killed.send(b"[]")
        await killed.claim()
        await killed.jobs.cancel(receipt.job_id)  # promised, and not kept by this engine

    async with open_desk() as desk:
        assert (await desk.uploads.get(receipt.upload_id)).status == "CANCELLED"


async def test_first_rejects_are_shown_and_all_counted(desk):
    receipt = await desk.send(b"[]")
    job = await desk.claim()
    staged = await desk.uploads.begin_staging(receipt.upload_id, job.job_id, job.token)
    await staged.add_rejects([RejectedRow(n, "", "bad", "", "") for n in range(500, 0, -1)])
    assert (await desk.complete(job, 0, 5_000)).accepted

    view = await desk.uploads.get(receipt.upload_id)
    assert [reject.row for reject in view.rejects] == list(range(1, 101))
    assert view.rows_rejected == 5_000


async def test_what_is_no_rows_is_refused(desk):
    receipt = await desk.send(b"[]")
    job = await desk.claim()
    staged = await desk.uploads.begin_staging(receipt.upload_id, job.job_id, job.token)

    with pytest.raises(InvalidArgumentError, match="rows"):
        await staged.add_rows(b"no stream")
    with pytest.raises(NotFoundError):
        await desk.uploads.begin_staging("none", job.job_id, job.token)
    with pytest.raises(FailedPreconditionError):
        await desk.uploads.begin_staging(receipt.upload_id, "other", job.token)


@pytest.mark.parametrize("drains", [True, False], ids=["drained", "on demand"])
@pytest.mark.parametrize("max_bytes", [2**30, 2_000_000], ids=["roomy", "tight"])
async def test_features_equal_history_after_a_big_upload(desk, drains, max_bytes):
    online = OnlineStore(FEATURE_SET, OnlineConfig(max_bytes=max_bytes), lambda: NOW_US)
    store = desk.store
    store.writer.add_commit_listener(online.apply)
    await online.rebuild(store.reader, store.writer.commit_seq)
    features = FeatureStore(FEATURE_SET, online, store.reader, lambda: NOW_US)

    async with trio.open_nursery() as nursery:
        if drains:
            nursery.start_soon(online.run)
        for number, users in enumerate((6_000, 7_000, 100)):
            rows = [
                (n % users, json.dumps({"plan": f"{number}/{n}", "age": n}), NOW_US - n % 7)
                for n in range(2 * users)
            ]
            await desk.send(str(number).encode())
            job = await desk.claim()
            await desk.stage(job, rows[: users // 2], rows[users // 2 :])
            assert (await desk.complete(job, len(rows))).accepted
            for key in (0, 1, 99, 100, 5_999, 6_500, 9_999):
                await _check(features, key)
        if drains:
            await eventually(lambda: not online.has_latecomers)
        for key in range(0, 8_000, 911):
            await _check(features, key)
        nursery.cancel_scope.cancel()


async def _check(features, key):
    live = await features.get(key, NAMES)
    assert await features.get(key, NAMES, live.as_of_us, live.commit_seq) == live
