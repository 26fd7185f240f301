"""`trellis.v1.WorkerService`: worker processes, the hosts they run on, and who looks at them."""

import math
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, Final, NoReturn

from engine.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    StaleTokenError,
)
from engine.jobs import JobFailure, JobResult
from engine.jobs.excerpts import cut_text
from engine.services.feature_rows import set_time
from engine.uploads import RejectedRow, StagedUpload, Uploads
from engine.workers.checks import CheckReport, Order
from engine.workers.supervisor import Supervisor
from engine.workers.views import WorkerView
from proto.trellis.v1 import workers_pb2 as pb
from proto.trellis.v1.workers_grpc import WorkerServiceServicer

# ruff: noqa: N802 - the methods are named by the API

_MOST_JOBS: Final = 1_000
_WAIT_MAX_S: Final = 60.0
_STACKS_CHARACTERS: Final = 1024 * 1024
"""Of all slots together: their list has to fit into a message of 4 MiB."""
_LEAST_STACK_CHARACTERS: Final = 400
_VERDICT: Final = {
    Order.CONTINUE: pb.VERDICT_CONTINUE,
    Order.CANCEL_JOB: pb.VERDICT_CANCEL_JOB,
    Order.RESTART: pb.VERDICT_RESTART,
    Order.DRAIN: pb.VERDICT_DRAIN,
}


class WorkerViewService(WorkerServiceServicer):  # type: ignore[misc]  # generated code has no types
    """Where clients call: what is for workers alone is refused."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    async def ListWorkers(self, input_message: pb.ListWorkersRequest) -> pb.ListWorkersResponse:
        """List the slots. See `workers.proto`."""
        return pb.ListWorkersResponse(workers=_encode_all(self._supervisor.list_workers()))

    async def RestartWorkers(
        self, input_message: pb.RestartWorkersRequest
    ) -> pb.RestartWorkersResponse:
        """Replace workers one after the other. See `workers.proto`."""
        pool = input_message.pool or None
        return pb.RestartWorkersResponse(workers=self._supervisor.restart(pool))

    async def DrainWorkers(self, input_message: pb.DrainWorkersRequest) -> pb.DrainWorkersResponse:
        """Empty slots. See `workers.proto`."""
        asked = input_message
        views = self._supervisor.drain_slots(
            slot=asked.slot or None, host=asked.host or None, force=asked.force
        )
        return pb.DrainWorkersResponse(workers=_encode_all(views))

    async def ResumeWorkers(
        self, input_message: pb.ResumeWorkersRequest
    ) -> pb.ResumeWorkersResponse:
        """Fill drained slots again. See `workers.proto`."""
        asked = input_message
        views = self._supervisor.resume_slots(slot=asked.slot or None, host=asked.host or None)
        return pb.ResumeWorkersResponse(workers=_encode_all(views))

    async def Check(self, input_message: Any) -> pb.CheckResponse:
        """Refuse."""
        _refuse()

    async def TakeJobs(self, input_message: Any) -> pb.TakeJobsResponse:
        """Refuse."""
        _refuse()

    async def CompleteJobs(self, input_message: Any) -> pb.CompleteJobsResponse:
        """Refuse."""
        _refuse()

    async def FailJob(self, input_message: Any) -> pb.FailJobResponse:
        """Refuse."""
        _refuse()

    async def GiveBackJobs(self, input_message: Any) -> pb.GiveBackJobsResponse:
        """Refuse."""
        _refuse()

    async def ReadUpload(self, input_message: Any) -> AsyncGenerator[pb.ReadUploadResponse, None]:
        """Refuse."""
        _refuse()
        yield  # makes it a generator

    async def StageRows(self, input_messages: Any) -> pb.StageRowsResponse:
        """Refuse."""
        _refuse()

    async def HostWorkers(self, input_messages: Any) -> AsyncGenerator[pb.HostCommand, None]:
        """Refuse."""
        _refuse()
        yield  # makes it a generator


class WorkerService(WorkerViewService):
    """On the control port, for workers and hosts: parses, asks the supervisor, encodes."""

    def __init__(self, supervisor: Supervisor, uploads: Uploads) -> None:
        super().__init__(supervisor)
        self._uploads = uploads

    async def Check(self, input_message: pb.CheckRequest) -> pb.CheckResponse:
        """Take a sign of life. See `workers.proto`."""
        reply = self._supervisor.check(
            CheckReport(
                worker_id=input_message.worker_id,
                token=input_message.token,
                progress=input_message.progress,
                progress_total=input_message.progress_total or None,
                progress_note=input_message.progress_note,
                memory_bytes=input_message.memory_bytes or None,
                jobs_done=input_message.jobs_done,
                counters=input_message.counters,
                still_s=max(0, input_message.still_ms) / 1_000,
            )
        )
        return pb.CheckResponse(
            verdict=_VERDICT[reply.order],
            cancel_token=reply.cancel_token,
            again_ms=0 if reply.again_in_s is None else math.ceil(reply.again_in_s * 1_000),
        )

    async def TakeJobs(self, input_message: pb.TakeJobsRequest) -> pb.TakeJobsResponse:
        """Hand out jobs. See `workers.proto`."""
        request = input_message
        if not 1 <= request.most <= _MOST_JOBS:
            raise InvalidArgumentError("most", f"is within 1 to {_MOST_JOBS}")
        wait_s = min(max(0.0, request.wait_ms / 1_000), _WAIT_MAX_S)
        reply = await self._supervisor.take_jobs(request.worker_id, request.most, wait_s)
        jobs = [
            pb.WorkerJob(
                job_id=job.job_id,
                token=job.token,
                job_type=job.job_type,
                payload_json=job.payload_json.encode(),
                run=job.run,
                attempt=job.attempt,
                request_id=job.request_id,
                traceparent=job.traceparent,
            )
            for job in reply.jobs
        ]
        return pb.TakeJobsResponse(jobs=jobs, verdict=_VERDICT[reply.order])

    async def CompleteJobs(self, input_message: pb.CompleteJobsRequest) -> pb.CompleteJobsResponse:
        """Take results. See `workers.proto`."""
        results = [
            JobResult(job.job_id, job.token, _text("result_json", job.result_json))
            for job in input_message.jobs
        ]
        verdicts = await self._supervisor.complete(input_message.worker_id, results)
        return pb.CompleteJobsResponse(
            verdicts=[
                pb.CompletionVerdict(
                    job_id=verdict.job_id, accepted=verdict.accepted, detail=verdict.reason
                )
                for verdict in verdicts
            ]
        )

    async def FailJob(self, input_message: pb.FailJobRequest) -> pb.FailJobResponse:
        """Take an error. See `workers.proto`."""
        request = input_message
        failure = JobFailure(
            job_id=request.job_id,
            token=request.token,
            code=request.code,
            message=request.message,
            permanent=request.permanent,
            out_of_reach=request.out_of_reach,
            stack=request.stack,
        )
        try:
            await self._supervisor.fail(request.worker_id, failure)
        except StaleTokenError as error:
            return pb.FailJobResponse(accepted=False, detail=str(error))
        return pb.FailJobResponse(accepted=True)

    async def GiveBackJobs(self, input_message: pb.GiveBackJobsRequest) -> pb.GiveBackJobsResponse:
        """Take back jobs that were not begun. See `workers.proto`."""
        tokens = [(job.job_id, job.token) for job in input_message.jobs]
        await self._supervisor.give_back(input_message.worker_id, tokens)
        return pb.GiveBackJobsResponse()

    async def ReadUpload(
        self, input_message: pb.ReadUploadRequest
    ) -> AsyncGenerator[pb.ReadUploadResponse, None]:
        """Send a file's content. See `workers.proto`."""
        request = input_message
        self._supervisor.require_job(request.worker_id, request.job_id, request.token)
        await self._uploads.require_job(request.upload_id, request.job_id)
        async with aclosing(self._uploads.read_content(request.upload_id)) as parts:
            async for part in parts:
                yield pb.ReadUploadResponse(content=part)

    async def StageRows(
        self, input_messages: AsyncIterator[pb.StageRowsRequest]
    ) -> pb.StageRowsResponse:
        """Keep rows until their job completes. See `workers.proto`."""
        messages = aiter(input_messages)
        first = await anext(messages, None)
        if first is None:
            raise InvalidArgumentError("worker_id", "is missing: there was no message")
        supervisor = self._supervisor
        supervisor.require_job(first.worker_id, first.job_id, first.token)
        staged = await self._uploads.begin_staging(first.upload_id, first.job_id, first.token)
        rows = await _stage(staged, first)
        async for message in messages:
            # Anew for each message: the job may have been taken from the worker meanwhile.
            supervisor.require_job(first.worker_id, first.job_id, first.token)
            rows += await _stage(staged, message)
        return pb.StageRowsResponse(rows=rows)

    async def HostWorkers(
        self, input_messages: AsyncIterator[pb.HostEvent]
    ) -> AsyncGenerator[pb.HostCommand, None]:
        """Converse with the agent of another host. See `workers.proto`."""
        async with aclosing(self._supervisor.converse(input_messages)) as commands:
            async for command in commands:
                yield command


def _refuse() -> NoReturn:
    raise FailedPreconditionError("this is for workers: call it on the control port")


def _encode_all(views: Sequence[WorkerView]) -> list[pb.Worker]:
    most = max(_LEAST_STACK_CHARACTERS, _STACKS_CHARACTERS // max(1, len(views)))
    return [_encode(view, most) for view in views]


def _encode(view: WorkerView, most_stack_characters: int) -> pb.Worker:
    message = pb.Worker(
        slot=view.slot,
        pool=view.pool or "",
        host=view.host,
        worker_id=view.worker_id,
        pid=view.pid or 0,
        state=view.state,
        job_id=view.job_id,
        lease_remaining_s=view.lease_remaining_s,
        progress=view.progress,
        memory_bytes=view.memory_bytes,
        restarts=view.restarts,
        starts_in_s=view.starts_in_s,
    )
    if view.last_end is not None:
        message.last_cause = view.last_end.cause
        message.last_detail = view.last_end.detail
        message.last_stack = cut_text(view.last_end.stack, most_stack_characters)
        message.last_job_id = view.last_end.job_id
        set_time(message.last_ended_at, view.last_end.ended_at_us)
    return message


def _text(field: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise InvalidArgumentError(field, "is not UTF-8") from None


async def _stage(staged: StagedUpload, message: pb.StageRowsRequest) -> int:
    await staged.add_rejects(
        [
            RejectedRow(reject.row, reject.column, reject.reason, reject.detail, reject.excerpt)
            for reject in message.rejects
        ]
    )
    return await staged.add_rows(message.rows) if message.rows else 0
