"""Files taken in: once, whole, and within the limits."""

import hashlib
import random
from contextlib import aclosing

import pyarrow as pa
import pytest
import trio

from engine.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
)
from engine.jobs import JobFailure, JobState
from engine.records import Append, WriteRequest
from engine.uploads import UploadHeader, UploadReceipt, make_upload_rules, open_uploads
from tests.integration.uploads.desk import MAX_BYTES

UNDER_WAY = "SELECT count(*) FROM uploads WHERE status = 'RECEIVED'"
LARGE = random.Random(4).randbytes(9 << 20) + b"end"  # which nothing makes smaller
PARTS_A_MIB = 256
LARGE_PARTS = 9 * PARTS_A_MIB + 1


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", 0),
        (b"{}", 0),
        (b"x" * (1 << 20), 0),
        (LARGE[: (1 << 20) + 1], PARTS_A_MIB + 1),
        (LARGE, LARGE_PARTS),
        (b"x" * (9 << 20), 3),
        (b"x" * (4 << 20) + LARGE[:5000] + b"x" * (3 << 20) + LARGE[: 4 << 20], 1 + 3 + 1024),
    ],
    ids=["empty", "small", "1 MiB", "just over", "large", "compressible", "in part"],
)
async def test_file_is_read_back_as_it_was_sent(desk, content, parts):
    receipt = await desk.send(
        content, filename="a.json", sha256=hashlib.sha256(content).hexdigest()
    )

    assert (receipt.size_bytes, receipt.duplicate) == (len(content), False)
    assert await desk.read(receipt.upload_id) == content
    assert await desk.count("upload_parts") == parts
    view = await desk.uploads.get(receipt.upload_id)
    assert (view.status, view.job_id, view.filename) == ("RECEIVED", receipt.job_id, "a.json")
    assert (await desk.claim()).job_id == receipt.job_id


async def test_same_key_or_same_content_is_the_same_upload(desk):
    first = await desk.send(b"[1]", idempotency_key="k")
    by_key = await desk.send(b"[2]", idempotency_key="k")
    by_content = await desk.send(b"[1]", idempotency_key="other")

    assert by_key.upload_id == by_content.upload_id == first.upload_id
    assert (first.duplicate, by_key.duplicate, by_content.duplicate) == (False, True, True)
    assert await desk.count("uploads") == 1


async def test_key_of_a_file_that_was_known_stands_for_it_from_then_on(desk):
    first = await desk.send(b"[1]", idempotency_key="k")
    await desk.send(b"[1]", idempotency_key="other")
    by_other = await desk.send(b"[2]", idempotency_key="other")
    assert (by_other.upload_id, by_other.duplicate) == (first.upload_id, True)
    assert by_other.sha256 == first.sha256
    assert await desk.count("uploads") == 1


async def test_key_of_a_failed_upload_moves_to_a_known_file_and_the_failed_one_stays_failed(desk):
    failed = await desk.send(b"[1]", idempotency_key="k")
    await desk.jobs.cancel(failed.job_id)
    known = await desk.send(b"[2]")
    mended = await desk.send(b"[2]", idempotency_key="k")
    assert mended.upload_id == known.upload_id
    assert (await desk.send(b"[3]", idempotency_key="k")).upload_id == known.upload_id
    with pytest.raises(FailedPreconditionError, match=f"sent again as {known.upload_id}"):
        await desk.jobs.retry(failed.job_id)


async def test_same_large_file_leaves_its_parts_once(desk):
    first = await desk.send(LARGE)
    again = await desk.send(LARGE)

    assert again.upload_id == first.upload_id
    assert await desk.count("upload_parts") == LARGE_PARTS


async def test_same_file_sent_at_once_is_one_upload(desk):
    receipts = []

    async def send():
        receipts.append(await desk.send(b"[]" * 1000, idempotency_key="k"))

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(send)

    assert len({receipt.upload_id for receipt in receipts}) == 1
    assert sum(not receipt.duplicate for receipt in receipts) == 1
    assert await desk.count("uploads") == 1


async def test_what_failed_may_be_sent_again(desk):
    first = await desk.send(b"[]", idempotency_key="k")
    job = await desk.claim()
    failure = JobFailure(job.job_id, job.token, "malformed_json", "line 1", permanent=True)
    assert await desk.jobs.fail("slot", failure) is JobState.FAILED

    second = await desk.send(b"[]", idempotency_key="k")

    assert not second.duplicate
    assert second.upload_id != first.upload_id
    assert (await desk.send(b"[]", idempotency_key="k")).upload_id == second.upload_id


async def test_failed_upload_that_was_sent_again_is_not_retried(desk):
    first = await desk.send(b"[]", idempotency_key="k")
    await desk.jobs.cancel(first.job_id)
    second = await desk.send(b"[1]", idempotency_key="k")

    with pytest.raises(FailedPreconditionError, match=second.upload_id):
        await desk.jobs.retry(first.job_id)

    assert (await desk.uploads.get(first.upload_id)).status == "CANCELLED"
    # The one that took its place has failed too: now that one may be retried, or be replaced.
    await desk.jobs.cancel(second.job_id)
    await desk.jobs.retry(second.job_id)
    assert (await desk.uploads.get(second.upload_id)).status == "RECEIVED"


async def test_failed_upload_that_is_retried_is_the_one_that_is_sent_again(desk):
    first = await desk.send(b"[]")
    await desk.jobs.cancel(first.job_id)
    await desk.jobs.retry(first.job_id)

    again = await desk.send(b"[]", idempotency_key="k")

    assert (again.upload_id, again.duplicate) == (first.upload_id, True)
    view = await desk.uploads.get(first.upload_id)
    assert (view.status, view.error_code, view.finished_at_us) == ("RECEIVED", "", None)


async def test_failed_upload_is_retried_or_sent_again_though_both_are_asked_for_at_once(desk):
    for number in range(20):
        content = b"[%d]" % number
        first = await desk.send(content)
        await desk.jobs.cancel(first.job_id)
        sent: list[UploadReceipt] = []
        refused = []

        async def send(content=content, sent=sent):
            sent.append(await desk.send(content))

        async def retry(job_id=first.job_id, refused=refused):
            try:
                await desk.jobs.retry(job_id)
            except FailedPreconditionError:
                refused.append(job_id)

        async with trio.open_nursery() as nursery:
            # In either order: the nursery starts them in one of its own choice.
            nursery.start_soon(send)
            nursery.start_soon(retry)

        assert sent[0].duplicate == (not refused)
        assert await desk.rows(UNDER_WAY) == [(number + 1,)]


async def test_file_over_the_limit_is_refused_and_leaves_nothing(desk):
    with pytest.raises(ResourceExhaustedError, match=r"uploads\.max_bytes"):
        await desk.send(b"x" * (MAX_BYTES + 1))

    assert await desk.count("upload_parts") == await desk.count("uploads") == 0


async def test_size_over_the_limit_is_refused_before_the_content(desk):
    async def never():
        raise AssertionError("read")
        yield b""

    with pytest.raises(ResourceExhaustedError):
        await desk.uploads.receive(UploadHeader("profiles", size_bytes=MAX_BYTES + 1), never())


async def test_unknown_dataset_is_refused_with_close_names(desk):
    with pytest.raises(NotFoundError, match="profiles"):
        await desk.send(b"[]", dataset="profile")


@pytest.mark.parametrize("header", [{"size_bytes": 3}, {"sha256": "0" * 64}])
@pytest.mark.parametrize("content", [b"[]", LARGE], ids=["small", "large"])
async def test_content_that_is_not_what_the_header_says_leaves_nothing(desk, header, content):
    with pytest.raises(InvalidArgumentError, match=next(iter(header))):
        await desk.send(content, **header)

    assert await desk.count("upload_parts") == await desk.count("uploads") == 0


async def test_aborted_upload_leaves_nothing(desk):
    under_way = trio.Event()

    async def endless():
        yield LARGE
        under_way.set()
        await trio.sleep_forever()

    async with aclosing(endless()) as chunks, trio.open_nursery() as nursery:
        nursery.start_soon(desk.uploads.receive, UploadHeader("profiles"), chunks)
        await under_way.wait()
        assert await desk.count("upload_parts") == 8 * PARTS_A_MIB
        nursery.cancel_scope.cancel()

    assert await desk.count("upload_parts") == await desk.count("uploads") == 0


async def test_parts_that_a_killed_engine_left_are_deleted_at_the_start(desk, tmp_path):
    kept = await desk.send(LARGE)
    store = desk.store
    columns = {
        "upload_id": ["lost"] * 2,
        "part": pa.array([0, 1], pa.int32()),
        "content": [b"x"] * 2,
    }
    parts = pa.RecordBatch.from_pydict(columns)
    await store.writer.submit(WriteRequest((Append("upload_parts", parts),)))

    async with open_uploads(
        desk.jobs,
        make_upload_rules(store.reader, tmp_path),
        store.writer,
        store.reader,
        desk.datasets,
        max_bytes=MAX_BYTES,
    ):
        assert await desk.count("upload_parts") == LARGE_PARTS
    assert await desk.read(kept.upload_id) == LARGE
