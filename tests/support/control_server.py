"""A control port for tests of workers: jobs from a list, orders as told, outcomes remembered.

The engine's own service does the same from Redis and with leases; this one is for what a worker
does, whatever the engine's reasons.
"""

import functools
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

import pyarrow as pa
import trio
from purerpc import Servicer

from engine.errors import FailedPreconditionError, NotFoundError
from engine.health import HealthBoard
from engine.rpc import serve
from engine.workers.host import EngineAddress
from engine.workers.remote_host import RemoteHost
from engine.workers.remote_messages import Join, Welcome
from engine.workers.remote_stream import converse_with_agent
from proto.trellis.v1 import workers_pb2 as pb
from proto.trellis.v1.workers_grpc import WorkerServiceServicer

# ruff: noqa: N802 - the methods are named by the API

TOKEN = "control-token"


class Secret:
    """What the server's policy wants of a token."""

    def reveal(self) -> str:
        return TOKEN


class ControlService(WorkerServiceServicer):
    """Hands out `jobs`; `verdicts` are given to checks, one each, then CONTINUE."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._changed = trio.Event()
        self.jobs: deque[pb.WorkerJob] = deque()
        self.checks: list[pb.CheckRequest] = []
        self.verdicts: deque[pb.CheckResponse] = deque()
        self.completed: dict[str, dict[str, object]] = {}
        self.failed: dict[str, pb.FailJobRequest] = {}
        self.given_back: list[str] = []
        self.taken_by: dict[str, str] = {}
        self.silent = False
        self.unknown_workers: set[str] = set()
        self.uploads: dict[str, bytes] = {}
        self.endless_uploads: set[str] = set()
        self.staged: list[pa.RecordBatch] = []
        self.stagings = 0
        self.rejects: list[pb.RejectedRow] = []
        self.hosts: dict[str, RemoteHost] = {}
        self.welcome = Welcome(0.1, 1.0, None, None, None, {})

    def add(self, job_type: str, **payload: object) -> str:
        """Add a job; return its id, which is also its token's."""
        job_id = f"job-{len(self.taken_by) + len(self.jobs)}-{job_type}"
        self.jobs.append(
            pb.WorkerJob(
                job_id=job_id,
                token=f"token of {job_id}",
                job_type=job_type,
                payload_json=json.dumps(payload).encode(),
                attempt=1,
            )
        )
        self.changed()
        return job_id

    def changed(self) -> None:
        """Wake who waits for anything."""
        self._changed.set()
        self._changed = trio.Event()

    async def until(self, condition, timeout_s: float = 10.0) -> None:
        """Wait until the condition holds, looking again whenever a worker has called."""
        with trio.fail_after(timeout_s):
            while not condition():
                await self._changed.wait()

    def _require(self, worker_id: str) -> None:
        if worker_id in self.unknown_workers:
            raise NotFoundError("worker", worker_id)

    async def Check(self, message):
        self._require(message.worker_id)
        if self.silent:
            await trio.sleep_forever()
        self.checks.append(message)
        self.changed()
        if self.verdicts:
            return self.verdicts.popleft()
        return pb.CheckResponse(verdict=pb.VERDICT_CONTINUE)

    async def TakeJobs(self, message):
        self._require(message.worker_id)
        with trio.move_on_after(message.wait_ms / 1000):
            while not self.jobs:
                await self._changed.wait()
        jobs = [self.jobs.popleft() for _ in range(min(message.most, len(self.jobs)))]
        self.taken_by |= {job.job_id: message.worker_id for job in jobs}
        return pb.TakeJobsResponse(jobs=jobs, verdict=pb.VERDICT_CONTINUE)

    async def CompleteJobs(self, message):
        self._require(message.worker_id)
        for job in message.jobs:
            self.completed[job.job_id] = json.loads(job.result_json)
        self.changed()
        verdicts = [pb.CompletionVerdict(job_id=job.job_id, accepted=True) for job in message.jobs]
        return pb.CompleteJobsResponse(verdicts=verdicts)

    async def FailJob(self, message):
        self._require(message.worker_id)
        self.failed[message.job_id] = message
        self.changed()
        return pb.FailJobResponse(accepted=True)

    async def GiveBackJobs(self, message):
        self._require(message.worker_id)
        self.given_back += [job.job_id for job in message.jobs]
        self.changed()
        return pb.GiveBackJobsResponse()

    async def ReadUpload(self, message):
        content = self.uploads[message.upload_id]
        for begin in range(0, len(content), 65_536):
            yield pb.ReadUploadResponse(content=content[begin : begin + 65_536])
        if message.upload_id in self.endless_uploads:
            await trio.sleep_forever()

    async def StageRows(self, input_messages):
        rows = 0
        self.stagings += 1
        async for message in input_messages:
            if message.upload_id and message.upload_id not in self.uploads:
                raise FailedPreconditionError("the job is not this worker's any more")
            self.rejects += message.rejects
            if message.rows:
                batches = list(pa.ipc.open_stream(message.rows))
                self.staged += batches
                rows += sum(batch.num_rows for batch in batches)
                self.changed()
        return pb.StageRowsResponse(rows=rows)

    async def HostWorkers(
        self, input_messages: AsyncIterator[pb.HostEvent]
    ) -> AsyncGenerator[pb.HostCommand, None]:
        conversation = converse_with_agent(
            input_messages, self._find_host, self.welcome, self._nursery
        )
        async with aclosing(conversation) as commands:
            async for command in commands:
                yield command

    def _find_host(self, join: Join) -> RemoteHost:
        host = self.hosts.get(join.session)
        if host is None:
            host = self.hosts[join.session] = RemoteHost(join, self.welcome.check_deadline_s)
            self._nursery.start_soon(host.run)
            self.changed()
        return host


@asynccontextmanager
async def open_control(
    port: int = 0, more: Sequence[Servicer] = ()
) -> AsyncIterator[tuple[ControlService, EngineAddress]]:
    """Serve on loopback, more services beside it."""
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        service = ControlService(nursery)
        start = functools.partial(
            serve,
            [service, *more],
            host="127.0.0.1",
            port=port,
            setting="server_ports.control",
            board=HealthBoard(),
            stop=stop,
            grace_s=0.0,
            bearer_token=Secret(),
            tls=None,
        )
        bound = await nursery.start(start)
        yield service, EngineAddress("127.0.0.1", bound.port, TOKEN)
        nursery.cancel_scope.cancel()
