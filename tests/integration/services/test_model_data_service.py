"""ModelDataService on the wire: what a job of models reads and stores, and what it may not."""

import contextlib
import functools
import gc
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import attrs
import pytest
import trio
from purerpc import RpcFailedError, StatusCode

from engine.backends.blobs import open_artifact_cache
from engine.config import BlobsConfig
from engine.models import ModelRegistry
from engine.records import WriteRequest
from engine.rpc.client import ChannelOptions, bind, open_channel
from engine.services.model_data_service import ModelDataService
from engine.serving.artifacts import Artifacts
from engine.serving.scoring import Scoring
from engine.serving.settings import ServingSettings
from engine.store import StoreSettings, open_store
from engine.uploads import make_upload_rules, open_uploads
from proto.trellis.v1 import model_data_pb2 as pb
from proto.trellis.v1 import workers_pb2
from proto.trellis.v1.model_data_grpc import ModelDataServiceServicer
from tests.integration.jobs.world import World, eventually
from tests.integration.services.played_workers import ControlPort, Worker, open_control_port
from tests.integration.uploads.desk import MAX_BYTES, UploadDesk
from tests.support.control_server import TOKEN
from tests.support.redis_servers import running_server
from tests.support.trained_version import CHAMPION, open_folder, ref_of, trained_of

PIPELINE, REFERENCE = pb.ARTIFACT_PART_PIPELINE, pb.ARTIFACT_PART_REFERENCE
CONTENT = bytes(range(256)) * 8_000  # two blocks of the blob store, three messages
MORE_THAN_IS_UNDER_WAY = 50  # parts of 1 MB
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@attrs.frozen
class Models:
    """The service with the token, and what is behind it."""

    control: ControlPort
    service: Any
    store: Any
    blobs: Any
    closed: list[str]
    """Types of the jobs whose rows are not read any more."""

    async def hold(
        self, job_type: str = "train", **payload: Any
    ) -> tuple[Worker, workers_pb2.WorkerJob, pb.Lease]:
        """Have a worker hold a job."""
        job_id = await self.control.submit(job_type, payload)
        host = await self.control.join(session=job_id)
        [worker] = host.workers
        [job] = await worker.take()
        return worker, job, pb.Lease(worker_id=worker.worker_id, job_id=job_id, token=job.token)

    async def put(self, *messages: pb.StoreArtifactRequest) -> pb.StoreArtifactResponse:
        async def requests() -> AsyncIterator[pb.StoreArtifactRequest]:
            for message in messages:
                yield message

        return await self.service.StoreArtifact(requests())

    def blob_files(self) -> list[str]:
        """Return what is in the blob store, complete or not."""
        return [
            path.name for path in self.blobs.rglob("*") if path.is_file() and path.suffix != ".lock"
        ]


@pytest.fixture(scope="module")
def server():
    with running_server("redis6") as server:
        yield server


@pytest.fixture
async def models(tmp_path, server):
    closed: list[str] = []

    async def rows(job):
        try:
            for number in range(json.loads(job.payload_json).get("parts", 3)):
                yield f"{job.job_type} {number}\n".encode() * 100_000
        finally:
            closed.append(job.job_type)

    with contextlib.closing(server.client()) as client:
        client.flushall()
        async with open_store(StoreSettings(path=tmp_path / "trellis.duckdb")) as store:
            rules = make_upload_rules(store.reader, tmp_path)
            world = World(store, server, client, hooks=rules.hooks)
            registry = ModelRegistry(store.writer, store.reader, {"x": "user"})
            await registry.load()
            blobs = open_folder(tmp_path / "blobs")
            async with (
                world.open() as jobs,
                open_uploads(
                    jobs, rules, store.writer, store.reader, {}, max_bytes=MAX_BYTES
                ) as uploads,
                open_artifact_cache(blobs, tmp_path / "cache", BlobsConfig()) as cache,
            ):
                artifacts, scoring = Artifacts(blobs, cache), Scoring(ServingSettings())
                ref = ref_of(CONTENT)
                await blobs.put(ref.name, CONTENT)
                await registry.register("buys", ("x",))
                planned = registry.plan_training("buys", ("x",), trained_of(ref), CHAMPION)
                await store.writer.submit(WriteRequest(planned.operations))

                def more(supervisor):
                    sources = {"train": rows, "detect_drift": rows}
                    return [ModelDataService(supervisor, registry, artifacts, scoring, sources)]

                async with open_control_port(UploadDesk(store, jobs, uploads, {}), more) as control:
                    await jobs.wait_queue_open()
                    options = ChannelOptions(bearer_token=TOKEN, message_bytes_max=16 << 20)
                    async with open_channel("127.0.0.1", control.port, options) as channel:
                        service = bind(ModelDataServiceServicer, channel)
                        yield Models(control, service, blobs, tmp_path / "blobs", closed)


def failing(code: StatusCode, match: str | None = None) -> Any:
    return pytest.raises(RpcFailedError, match=match, check=lambda e: e.status.status_code is code)


REFUSED = functools.partial(failing, StatusCode.FAILED_PRECONDITION)
INVALID = functools.partial(failing, StatusCode.INVALID_ARGUMENT)
NOT_FOUND = functools.partial(failing, StatusCode.NOT_FOUND)


def first(lease: pb.Lease, part: int = PIPELINE, content: bytes = b"") -> pb.StoreArtifactRequest:
    return pb.StoreArtifactRequest(lease=lease, part=part, content=content)


def more(content: bytes) -> pb.StoreArtifactRequest:
    return pb.StoreArtifactRequest(content=content)


async def read_rows(models: Models, lease: pb.Lease) -> bytes:
    replies = models.service.ReadRows(pb.ReadRowsRequest(lease=lease))
    return b"".join([reply.content async for reply in replies])


async def read_part(models: Models, lease: pb.Lease, **wanted: Any) -> list[Any]:
    request = {"model": "buys", "version": 2, "part": PIPELINE, **wanted}
    replies = models.service.ReadArtifact(pb.ReadArtifactRequest(lease=lease, **request))
    return [reply async for reply in replies]


CALLS: dict[str, Callable[[Models, pb.Lease], Any]] = {
    "ReadRows": read_rows,
    "ReadArtifact": read_part,
    "StoreArtifact": lambda models, lease: models.put(first(lease)),
    "ExchangeBatch": lambda models, lease: models.service.ExchangeBatch(
        pb.ExchangeBatchRequest(lease=lease)
    ),
}


# The lease.


@pytest.mark.parametrize("call", CALLS)
async def test_a_call_under_another_lease_than_the_jobs_is_refused(models, call):
    _, job, lease = await models.hold()
    _, other, other_lease = await models.hold()
    for wrong in (
        pb.Lease(worker_id=lease.worker_id, job_id=job.job_id, token="another"),
        pb.Lease(worker_id=lease.worker_id, job_id=job.job_id),
        pb.Lease(worker_id=lease.worker_id, job_id=other.job_id, token=other.token),
        pb.Lease(worker_id=lease.worker_id, job_id=job.job_id, token=other.token),
        pb.Lease(worker_id=other_lease.worker_id, job_id=job.job_id, token=job.token),
    ):
        with REFUSED("no longer held"):
            await CALLS[call](models, wrong)
    with NOT_FOUND("worker"):
        await CALLS[call](models, pb.Lease(worker_id="nobody-0-00000000", job_id=job.job_id))
    with NOT_FOUND("worker"):
        await CALLS[call](models, pb.Lease())
    assert models.blob_files() == [f"models+{DIGEST}"]


@pytest.mark.parametrize("call", CALLS)
async def test_a_job_that_has_ended_reads_and_stores_nothing(models, call):
    worker, job, lease = await models.hold()
    await worker.fail(job)
    with REFUSED("no longer held"):
        await CALLS[call](models, lease)


@pytest.mark.parametrize("call", CALLS)
async def test_a_type_of_job_without_any_business_here_is_refused(models, call):
    _, _, lease = await models.hold("work", model="buys", version=2, champion_version=2)
    with REFUSED("type 'work'"):
        await CALLS[call](models, lease)


# Rows.


async def test_rows_arrive_as_they_are_and_their_source_is_closed(models):
    _, _, lease = await models.hold("detect_drift")
    parts = (f"detect_drift {number}\n".encode() * 100_000 for number in range(3))
    assert await read_rows(models, lease) == b"".join(parts)
    assert models.closed == ["detect_drift"]


async def test_rows_end_when_the_job_is_taken_away_and_their_source_is_closed(models):
    worker, job, lease = await models.hold(parts=MORE_THAN_IS_UNDER_WAY)
    replies = models.service.ReadRows(pb.ReadRowsRequest(lease=lease))
    async with aclosing(replies):
        await anext(replies)
        await worker.give_back(job)
        with REFUSED("no longer held"):
            async for _ in replies:
                pass
    await eventually(lambda: models.closed == ["train"])
    # What is left open would be closed by the collector, with a warning.
    gc.collect()


async def test_rows_of_a_reader_who_leaves_are_closed(models):
    _, _, lease = await models.hold(parts=MORE_THAN_IS_UNDER_WAY)
    replies = models.service.ReadRows(pb.ReadRowsRequest(lease=lease))
    async with aclosing(replies):
        await anext(replies)
    await eventually(lambda: models.closed == ["train"])
    gc.collect()


# Parts of versions, read.


async def test_a_part_arrives_whole_with_its_digest_in_the_first_message_only(models):
    _, _, lease = await models.hold(model="buys", champion_version=2)
    replies = await read_part(models, lease)
    assert b"".join(reply.content for reply in replies) == CONTENT
    assert [reply.sha256 for reply in replies] == [DIGEST, *[""] * (len(replies) - 1)]
    assert len(replies) > 1


@pytest.mark.parametrize(
    ("payload", "wanted", "code"),
    [
        ({"version": 9}, {"version": 9}, StatusCode.NOT_FOUND),
        ({"model": "bus"}, {"model": "bus"}, StatusCode.NOT_FOUND),
        ({"version": 1}, {"version": 1}, StatusCode.FAILED_PRECONDITION),
        ({}, {"version": 1}, StatusCode.FAILED_PRECONDITION),
        ({}, {"model": "bus"}, StatusCode.FAILED_PRECONDITION),
        ({}, {"part": 0}, StatusCode.INVALID_ARGUMENT),
        ({}, {"part": 77}, StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_a_part_that_is_none_is_refused(models, payload, wanted, code):
    _, _, lease = await models.hold("detect_drift", **{"model": "buys", "version": 2, **payload})
    with failing(code):
        await read_part(models, lease, **wanted)


async def test_a_part_that_is_not_what_was_registered_is_data_loss(models):
    _, _, lease = await models.hold("score")
    await models.store.put(f"models/{DIGEST}", b"another")
    with failing(StatusCode.DATA_LOSS):
        await read_part(models, lease)
    await models.store.delete(f"models/{DIGEST}")
    with NOT_FOUND():
        await read_part(models, lease)


# Parts, stored.


@pytest.mark.parametrize("size_bytes", [1, 100_000, 3 << 20, (9 << 20) + 1])
async def test_a_part_of_any_size_is_stored_under_its_digest(models, size_bytes):
    _, _, lease = await models.hold()
    content = (CONTENT * (size_bytes // len(CONTENT) + 1))[:size_bytes]
    pieces = [content[at : at + 700_001] for at in range(0, size_bytes, 700_001)]
    stored = await models.put(first(lease), *map(more, pieces))
    digest = hashlib.sha256(content).hexdigest()
    assert (stored.name, stored.sha256) == (f"models/{digest}", digest)
    assert stored.size_bytes == size_bytes
    assert await models.store.get_bytes(stored.name, size_bytes) == content


async def test_what_is_there_already_is_stored_once_and_mended_if_it_is_damaged(models):
    _, _, lease = await models.hold()
    for _ in range(2):
        assert (await models.put(first(lease, REFERENCE, CONTENT))).sha256 == DIGEST
    assert models.blob_files() == [f"models+{DIGEST}"]
    await models.store.put(f"models/{DIGEST}", b"damaged")
    assert (await models.put(first(lease), more(CONTENT))).sha256 == DIGEST
    assert await models.store.get_bytes(f"models/{DIGEST}", len(CONTENT)) == CONTENT


async def test_messages_in_another_order_than_theirs_store_nothing(models):
    _, _, lease = await models.hold()
    with INVALID("there was no message"):
        await models.put()
    with NOT_FOUND("worker"):
        await models.put(more(b"a"), first(lease))
    with INVALID("part"):
        await models.put(pb.StoreArtifactRequest(lease=lease, content=b"a"))
    with INVALID("part"):
        await models.put(first(lease, 77), more(b"a"))
    with INVALID("another part begins"):
        await models.put(first(lease, PIPELINE, b"a"), first(lease, REFERENCE, b"b"))
    with INVALID("content"):
        await models.put(first(lease))
    assert models.blob_files() == [f"models+{DIGEST}"]


async def test_a_stream_that_is_cut_stores_nothing(models):
    _, _, lease = await models.hold()

    async def endless() -> AsyncIterator[pb.StoreArtifactRequest]:
        yield first(lease, PIPELINE, b"a")
        yield more(b"b" * 100_000)
        await trio.sleep_forever()

    with failing(StatusCode.DEADLINE_EXCEEDED):
        async with aclosing(endless()) as requests:
            await models.service.StoreArtifact(requests, timeout_s=0.5)
    assert models.blob_files() == [f"models+{DIGEST}"]


async def test_a_job_taken_away_while_it_stores_has_stored_nothing(models):
    worker, job, lease = await models.hold()

    async def requests() -> AsyncIterator[pb.StoreArtifactRequest]:
        yield first(lease, PIPELINE, b"a")
        await worker.give_back(job)

    with REFUSED("no longer held"):
        async with aclosing(requests()) as sent:
            await models.service.StoreArtifact(sent)
    assert models.blob_files() == [f"models+{DIGEST}"]


async def test_a_part_that_is_too_large_is_refused_with_the_limit(models, monkeypatch):
    monkeypatch.setattr("engine.serving.artifacts._MOST_BYTES", 1_000)
    _, _, lease = await models.hold()
    with failing(StatusCode.RESOURCE_EXHAUSTED, "at most 1000 bytes"):
        await models.put(first(lease), *[more(b"a" * 300)] * 4)
    assert models.blob_files() == [f"models+{DIGEST}"]
