"""The control port of an engine without local workers; tests play the host and its workers."""

import functools
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from engine.health import HealthBoard
from engine.jobs import JobSpec
from engine.rpc import Servicer, serve
from engine.rpc.client import ChannelOptions, bind, open_channel
from engine.services import WorkerService, WorkerViewService
from engine.workers.late_host import LateHost
from engine.workers.remote_messages import Welcome
from engine.workers.supervisor import Supervisor
from engine.workers.supervisor_settings import SupervisorSettings
from proto.trellis.v1 import workers_pb2 as pb
from proto.trellis.v1.workers_grpc import WorkerServiceServicer
from tests.integration.uploads.desk import UploadDesk
from tests.support.control_server import TOKEN, Secret

SETTINGS = SupervisorSettings(
    check_deadline_s=60.0, stall_s=60.0, stall_s_by_job_type={"impatient": 0.9}
)
WELCOME = Welcome(1.0, SETTINGS.check_deadline_s, None, None, None, {})


@attrs.frozen
class Worker:
    """A worker as the control port knows it: a name, and what it says."""

    worker_id: str
    service: Any

    async def check(self, token: str = "", **other: Any) -> pb.CheckResponse:
        request = pb.CheckRequest(worker_id=self.worker_id, token=token, **other)
        return await self.service.Check(request)

    async def take(self, most: int = 1, wait_ms: int = 10_000) -> list[pb.WorkerJob]:
        request = pb.TakeJobsRequest(worker_id=self.worker_id, most=most, wait_ms=wait_ms)
        return list((await self.service.TakeJobs(request)).jobs)

    async def complete(
        self, job: pb.WorkerJob, result: bytes = b"{}", **other: str
    ) -> pb.CompletionVerdict:
        done = pb.JobCompletion(**{"job_id": job.job_id, "token": job.token, **other})
        done.result_json = result
        request = pb.CompleteJobsRequest(worker_id=self.worker_id, jobs=[done])
        [verdict] = (await self.service.CompleteJobs(request)).verdicts
        return verdict

    async def fail(self, job: pb.WorkerJob, **other: Any) -> pb.FailJobResponse:
        fields = {"job_id": job.job_id, "token": job.token, "code": "bad", "message": "no"}
        return await self.service.FailJob(
            pb.FailJobRequest(**{"worker_id": self.worker_id, **fields, **other})
        )

    async def give_back(self, *jobs: pb.WorkerJob) -> None:
        tickets = [pb.JobTicket(job_id=job.job_id, token=job.token) for job in jobs]
        await self.service.GiveBackJobs(
            pb.GiveBackJobsRequest(worker_id=self.worker_id, jobs=tickets)
        )

    async def read(self, job: pb.WorkerJob, **other: str) -> bytes:
        fields = {"job_id": job.job_id, "token": job.token, "upload_id": upload_of(job), **other}
        replies = self.service.ReadUpload(pb.ReadUploadRequest(worker_id=self.worker_id, **fields))
        return b"".join([reply.content async for reply in replies])

    async def stage(self, job: pb.WorkerJob, *parts: bytes, **other: str) -> int:
        return await self.stage_from(job, _in_turn(parts), **other)

    async def stage_from(self, job: pb.WorkerJob, parts: AsyncIterator[bytes], **other: str) -> int:
        async def requests() -> AsyncIterator[pb.StageRowsRequest]:
            fields = {"job_id": job.job_id, "token": job.token, "upload_id": upload_of(job)}
            yield pb.StageRowsRequest(worker_id=self.worker_id, **{**fields, **other})
            async for part in parts:
                yield pb.StageRowsRequest(rows=part)

        return (await self.service.StageRows(requests())).rows


async def _in_turn(parts: Sequence[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def upload_of(job: pb.WorkerJob) -> str:
    return str(json.loads(job.payload_json).get("upload_id", ""))


@attrs.frozen
class ControlPort:
    """The services, called over the wire, and what is behind them."""

    desk: UploadDesk
    port: int
    view_port: int
    service: Any
    """With the token."""
    nursery: trio.Nursery

    async def submit(
        self, job_type: str = "work", payload: dict[str, Any] | None = None, **options: Any
    ) -> str:
        return (await self.desk.jobs.submit(JobSpec(job_type, payload or {}, **options))).job_id

    @asynccontextmanager
    async def client(self, token: str | None, port: int | None = None) -> AsyncIterator[Any]:
        options = ChannelOptions(bearer_token=token)
        async with open_channel("127.0.0.1", port or self.port, options) as channel:
            yield bind(WorkerServiceServicer, channel)

    async def join(self, workers: int = 1, session: str = "session") -> "PlayedHost":
        """Join as a host whose workers start and check in."""
        host = PlayedHost(self.service, session)
        await self.nursery.start(host.run, workers)
        return host


class PlayedHost:
    """A host on which workers start at once, and end when they are killed."""

    def __init__(self, service: Any, session: str) -> None:
        self._service = service
        self._session = session
        self._to_engine, self._events = trio.open_memory_channel[pb.HostEvent](1_000)
        self._scope = trio.CancelScope()
        self.workers: list[Worker] = []
        self.killed: list[str] = []

    async def run(
        self, workers: int, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        join = pb.HostJoin(host="played", pool="", slots=workers, session=self._session)
        self.tell(join=join)
        with self._scope:
            async with self._service.HostWorkers(self._events, timeout_s=None) as commands:
                async for command in commands:
                    match command.WhichOneof("command"):
                        case "spawn":
                            await self._spawn(command.spawn.worker_id)
                        case "kill":
                            self.end(command.kill.worker_id, signal=9)
                    if len(self.workers) == workers:
                        task_status.started()
                        workers = 0

    async def _spawn(self, worker_id: str) -> None:
        self.tell(spawned=pb.WorkerSpawned(worker_id=worker_id, pid=4_000 + len(self.workers)))
        worker = Worker(worker_id, self._service)
        await worker.check()
        self.workers.append(worker)

    def end(self, worker_id: str, **status: int) -> None:
        """A worker has ended."""
        self.killed.append(worker_id)
        self.tell(exited=pb.WorkerExited(worker_id=worker_id, **status))

    def tell(self, **event: Any) -> None:
        self._to_engine.send_nowait(pb.HostEvent(**event))

    def leave(self) -> None:
        """Leave in order, all workers being gone."""
        self.tell(leave=pb.HostLeave())
        for worker in self.workers:
            self.end(worker.worker_id, signal=9)


@asynccontextmanager
async def open_control_port(
    desk: UploadDesk, more: Callable[[Supervisor], Sequence[Servicer]] = lambda _: ()
) -> AsyncIterator[ControlPort]:
    """Serve `WorkerService` with its token, and what clients see of it on another port.

    Args:
      more: makes services that stand beside it.
    """
    supervisor = Supervisor(SETTINGS, desk.jobs, LateHost(), desk.store.writer, WELCOME)
    async with trio.open_nursery() as nursery:
        await nursery.start(supervisor.run)

        async def start(services: Sequence[Servicer], token: Secret | None) -> int:
            bound = await nursery.start(
                functools.partial(
                    serve,
                    services,
                    host="127.0.0.1",
                    port=0,
                    setting="server_ports.control",
                    board=HealthBoard(),
                    stop=trio.Event(),
                    grace_s=0.0,
                    bearer_token=token,
                    tls=None,
                )
            )
            return int(bound.port)

        port = await start([WorkerService(supervisor, desk.uploads), *more(supervisor)], Secret())
        view_port = await start([WorkerViewService(supervisor)], None)
        # More than the server takes: it is to refuse what is too much.
        options = ChannelOptions(bearer_token=TOKEN, message_bytes_max=16 << 20)
        async with open_channel("127.0.0.1", port, options) as channel:
            service = bind(WorkerServiceServicer, channel)
            yield ControlPort(desk, port, view_port, service, nursery)
            # The hosts played are still there to tell that their workers are killed.
            await supervisor.drain(0.0)
            nursery.cancel_scope.cancel()
