"""`trellis.v1.JobService`: jobs accepted, where they stand, and what came of them."""

import difflib
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from engine.config import BUILT_IN_JOB_TYPES, JobTypeConfig
from engine.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from engine.jobs import MOST_PAYLOAD_BYTES, JobFilter, Jobs, JobSpec, JobState, JobView, PastAttempt
from engine.jobs.job_ids import is_job_id
from engine.plain_json import MOST_LEVELS
from engine.rpc import current_request_id
from engine.services.arguments import read_page_size, read_page_token
from engine.services.feature_rows import set_time
from proto.trellis.v1 import jobs_pb2
from proto.trellis.v1.jobs_grpc import JobServiceServicer

_PAGE_DEFAULT = 100
_PAGE_MAX = 500
_PAGE_BYTES = 2 * 1024 * 1024
"""A page ends early rather than outgrow a message: a result may have 1 MiB."""
_ATTEMPTS_BYTES = 2 * 1024 * 1024
"""Of a job's attempts, the latest that fit: with a result of 1 MiB they must fit into a message."""
_STATE = {
    JobState.QUEUED: jobs_pb2.JOB_STATE_QUEUED,
    JobState.SCHEDULED: jobs_pb2.JOB_STATE_SCHEDULED,
    JobState.RUNNING: jobs_pb2.JOB_STATE_RUNNING,
    JobState.SUCCEEDED: jobs_pb2.JOB_STATE_SUCCEEDED,
    JobState.FAILED: jobs_pb2.JOB_STATE_FAILED,
    JobState.CANCELLED: jobs_pb2.JOB_STATE_CANCELLED,
    JobState.DEAD: jobs_pb2.JOB_STATE_DEAD,
}
_STATE_MEANT: dict[int, JobState] = {number: state for state, number in _STATE.items()}
_BEFORE = "before:"


class JobService(JobServiceServicer):  # type: ignore[misc]  # generated code has no types
    """Parses, asks the jobs, encodes."""

    def __init__(self, jobs: Jobs, job_types: Mapping[str, JobTypeConfig]) -> None:
        self._jobs = jobs
        self._job_types = job_types

    async def SubmitJob(  # noqa: N802
        self, input_message: jobs_pb2.SubmitJobRequest
    ) -> jobs_pb2.SubmitJobResponse:
        """Accept a job of a configured type. See `jobs.proto`."""
        request = input_message
        job_type = self._find_type(request.job_type)
        submission = await self._jobs.submit(
            JobSpec(
                request.job_type,
                _read_payload(request.payload_json),
                pool=job_type.pool,
                priority=request.priority,
                idempotency_key=request.idempotency_key or None,
                delay_s=request.delay_s,
                max_attempts=job_type.max_attempts,
                request_id=current_request_id(),
            )
        )
        return jobs_pb2.SubmitJobResponse(job_id=submission.job_id, created=submission.created)

    def _find_type(self, name: str) -> JobTypeConfig:
        if not name:
            raise InvalidArgumentError("job_type", "is empty; it is a type of workers.job_types")
        if name in BUILT_IN_JOB_TYPES:
            raise FailedPreconditionError(
                f"job_type: jobs of type {name} come about by themselves, those of uploads by "
                "IngestService.UploadFile; submit one of workers.job_types"
            )
        job_type = self._job_types.get(name)
        if job_type is None:
            shown = name[:63]
            raise NotFoundError(
                "job type in workers.job_types",
                shown,
                difflib.get_close_matches(shown, self._job_types),
            )
        return job_type

    async def GetJob(  # noqa: N802
        self, input_message: jobs_pb2.GetJobRequest
    ) -> jobs_pb2.GetJobResponse:
        """Answer with a job. See `jobs.proto`."""
        return jobs_pb2.GetJobResponse(job=_encode(await self._jobs.get(input_message.job_id)))

    async def ListJobs(  # noqa: N802
        self, input_message: jobs_pb2.ListJobsRequest
    ) -> jobs_pb2.ListJobsResponse:
        """Answer with a page of the jobs, the latest first. See `jobs.proto`."""
        request = input_message
        size = read_page_size(request.page_size, default=_PAGE_DEFAULT, largest=_PAGE_MAX)
        wanted = JobFilter(_read_state(request.state), request.job_type, request.pool)
        # The token holds the last job of the page before: jobs that come move no page.
        before = read_page_token(request.page_token, _BEFORE)
        if before and not is_job_id(before):
            raise InvalidArgumentError("page_token", "is not one that a reply gave")
        page = await self._jobs.list(wanted, before=before, most=size)
        response = jobs_pb2.ListJobsResponse()
        page_bytes = 0
        next_before = page.next_before
        for view in page.jobs:
            job = _encode(view)
            page_bytes += job.ByteSize()
            if response.jobs and page_bytes > _PAGE_BYTES:
                next_before = response.jobs[-1].job_id
                break
            response.jobs.append(job)
        response.next_page_token = _BEFORE + next_before if next_before else ""
        return response

    async def WatchJob(  # noqa: N802
        self, input_message: jobs_pb2.WatchJobRequest
    ) -> AsyncGenerator[jobs_pb2.WatchJobResponse, None]:
        """Answer with a job now and at every change, until it has ended. See `jobs.proto`."""
        sent: tuple[PastAttempt, ...] | None = None
        async for view in self._jobs.watch(input_message.job_id):
            # With their stacks they may have 2 MiB, and a job that moves is told of ten times a
            # second.
            unchanged = view.attempts == sent and not view.state.is_final
            sent = view.attempts
            yield jobs_pb2.WatchJobResponse(
                job=_encode(view, with_attempts=not unchanged), attempts_unchanged=unchanged
            )

    async def CancelJob(  # noqa: N802
        self, input_message: jobs_pb2.CancelJobRequest
    ) -> jobs_pb2.CancelJobResponse:
        """Cancel a job. See `jobs.proto`."""
        view = await self._jobs.cancel(input_message.job_id)
        return jobs_pb2.CancelJobResponse(job=_encode(view))

    async def RetryJob(  # noqa: N802
        self, input_message: jobs_pb2.RetryJobRequest
    ) -> jobs_pb2.RetryJobResponse:
        """Start another run of a job. See `jobs.proto`."""
        view = await self._jobs.retry(input_message.job_id)
        return jobs_pb2.RetryJobResponse(job=_encode(view))

    async def GetQueue(  # noqa: N802
        self, input_message: jobs_pb2.GetQueueRequest
    ) -> jobs_pb2.GetQueueResponse:
        """Answer with how much waits. See `jobs.proto`."""
        stats = await self._jobs.stats()
        return jobs_pb2.GetQueueResponse(
            pools=[
                jobs_pb2.PoolQueue(
                    pool=pool,
                    ready=depth.ready,
                    delayed=depth.delayed,
                    leased=depth.leased,
                    dead=depth.dead,
                    oldest_ready_age_s=depth.oldest_ready_age_s or 0.0,
                )
                for pool, depth in sorted(stats.by_pool.items())
            ]
        )


def _read_payload(text: str) -> dict[str, Any]:
    # Before it is parsed: escapes can make it shorter, never to less than a sixth.
    if len(text) > 6 * MOST_PAYLOAD_BYTES:
        raise InvalidArgumentError("payload_json", f"is longer than {MOST_PAYLOAD_BYTES} bytes")
    try:
        payload = json.loads(text or "{}")
    except RecursionError as error:
        raise InvalidArgumentError(
            "payload_json", f"is nested deeper than {MOST_LEVELS} levels"
        ) from error
    except ValueError as error:
        raise InvalidArgumentError("payload_json", f"is not JSON: {error}") from error
    if not isinstance(payload, dict):
        raise InvalidArgumentError("payload_json", "is not a JSON object")
    return payload


def _read_state(number: int) -> JobState | None:
    if number == jobs_pb2.JOB_STATE_UNSPECIFIED:
        return None
    state = _STATE_MEANT.get(number)
    if state is None:
        raise InvalidArgumentError("state", f"{number} is not a state of jobs")
    return state


def _encode(view: JobView, *, with_attempts: bool = True) -> jobs_pb2.Job:
    message = jobs_pb2.Job(
        job_id=view.job_id,
        job_type=view.job_type,
        pool=view.pool,
        priority=view.priority,
        state=_STATE[view.state],
        run=view.run,
        attempt=view.attempt,
        failures=view.failures,
        max_attempts=view.max_attempts,
        payload_json=view.payload_json,
        result_json=view.result_json or "",
        error_code=view.error_code or "",
        error_message=view.error_message or "",
        worker_id=view.worker_id,
        slot=view.slot,
        cancel_requested=view.cancel_requested and not view.state.is_final,
        idempotency_key=view.idempotency_key or "",
        request_id=view.request_id,
    )
    if with_attempts:
        _add_attempts(message, view)
    set_time(message.accepted_at, view.accepted_at_us)
    if view.due_at_us is not None:
        set_time(message.due_at, view.due_at_us)
    if view.started_at_us is not None:
        set_time(message.started_at, view.started_at_us)
    if view.finished_at_us is not None:
        set_time(message.finished_at, view.finished_at_us)
    if view.progress is not None:
        message.progress = view.progress.counter
        message.progress_total = view.progress.total or 0
        message.progress_note = view.progress.note
    return message


def _add_attempts(message: jobs_pb2.Job, view: JobView) -> None:
    latest: list[jobs_pb2.JobAttempt] = []
    size_bytes = 0
    for past in reversed(view.attempts):
        attempt = _encode_attempt(past)
        size_bytes += attempt.ByteSize()
        if size_bytes > _ATTEMPTS_BYTES:
            break
        latest.append(attempt)
    message.attempts.extend(reversed(latest))
    message.attempts_left_out = view.attempts_left_out + len(view.attempts) - len(latest)


def _encode_attempt(past: PastAttempt) -> jobs_pb2.JobAttempt:
    message = jobs_pb2.JobAttempt(
        run=past.run,
        attempt=past.attempt,
        cause=past.cause,
        charged=past.charged,
        worker_id=past.worker_id,
        slot=past.slot,
        pid=past.pid or 0,
        detail=past.detail,
        stack=past.stack,
    )
    if past.started_at_us is not None:
        set_time(message.started_at, past.started_at_us)
    set_time(message.ended_at, past.ended_at_us)
    return message
