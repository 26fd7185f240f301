"""What a sender and a worker do with uploads."""

import json
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import Any

import attrs
import pyarrow as pa

from engine.config import UploadSpec
from engine.jobs import ClaimedJob, JobResult, Jobs, ResultVerdict
from engine.records import FEATURE_HISTORY_SCHEMA
from engine.store import Store
from engine.uploads import UploadHeader, UploadReceipt, Uploads

MAX_BYTES = 12 << 20

Row = tuple[int, str | None, int]
"""Entity key, fields, event time in microseconds."""


async def in_chunks(content: bytes, chunk_bytes: int = 300_000) -> AsyncGenerator[bytes, None]:
    for begin in range(0, len(content), chunk_bytes):
        yield content[begin : begin + chunk_bytes]


def ipc(rows: Iterable[Row], dataset: str = "whatever") -> bytes:
    keys, fields, times = zip(*rows, strict=True)
    columns = [keys, [dataset] * len(keys), fields, times]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, FEATURE_HISTORY_SCHEMA, strict=True)]
    batch = pa.RecordBatch.from_arrays(arrays, schema=FEATURE_HISTORY_SCHEMA)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


@attrs.frozen
class UploadDesk:
    store: Store
    jobs: Jobs
    uploads: Uploads
    datasets: Mapping[str, UploadSpec]

    async def send(self, content: bytes, **header: Any) -> UploadReceipt:
        async with aclosing(in_chunks(content)) as chunks:
            return await self.uploads.receive(
                UploadHeader(**{"dataset": "profiles", **header}), chunks
            )

    async def claim(self) -> ClaimedJob:
        [job] = await self.jobs.claim("slot", None, 1, 5.0)
        return job

    async def stage(self, job: ClaimedJob, *parts: list[Row]) -> None:
        upload_id = json.loads(job.payload_json)["upload_id"]
        staged = await self.uploads.begin_staging(upload_id, job.job_id, job.token)
        for part in parts:
            assert await staged.add_rows(ipc(part)) == len(part)

    def staged_rows(self) -> int:
        return self.uploads.staged_rows

    async def complete(
        self, job: ClaimedJob, accepted: int, rejected: int = 0, *, slot: str = "slot"
    ) -> ResultVerdict:
        result = json.dumps({"rows_accepted": accepted, "rows_rejected": rejected})
        [verdict] = await self.jobs.complete(slot, [JobResult(job.job_id, job.token, result)])
        return verdict

    async def read(self, upload_id: str) -> bytes:
        return b"".join([part async for part in self.uploads.read_content(upload_id)])

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return await self.store.reader.fetch_rows(sql)

    async def count(self, table: str) -> int:
        [(count,)] = await self.rows(f'SELECT count(*) FROM "{table}"')
        return count
