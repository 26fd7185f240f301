"""The link to the engine over gRPC."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import pyarrow as pa

from engine.rpc import RpcFailedError, StatusCode
from engine.rpc.client import BlockingChannel, ChannelOptions, bind
from engine.rpc.tls import open_pinned_tls
from engine.tasks.guarded import GuardedConnection
from engine.tasks.hand import Done, Failed, Job, Outcome
from engine.tasks.link import (
    ConnectionLostError,
    EngineUnreachableError,
    GivenUpError,
    Order,
    RefusedError,
    RejectedRow,
    Reply,
    Report,
    RowsPart,
)
from engine.tasks.model_link import ModelLink
from engine.tasks.settings import WorkerSettings
from engine.workers.host import EngineAddress
from proto.trellis.v1 import workers_pb2 as pb
from proto.trellis.v1.workers_grpc import WorkerServiceServicer

logger = logging.getLogger(__name__)

_CALL_S: Final = 30.0
"""Usually it is milliseconds, but seconds while the data file is checkpointed."""
_ANSWER_S: Final = 5.0  # beyond the time that the engine was asked to wait
_UPLOAD_S: Final = 3600.0  # to read a file, or stage it; the job's stall limit is the real bound
_MESSAGE_BYTES: Final = 1 << 20  # of results or rows in one message; the engine takes four

_ORDERS: Final = {
    pb.VERDICT_CONTINUE: Order.CONTINUE,
    pb.VERDICT_CANCEL_JOB: Order.CANCEL_JOB,
    pb.VERDICT_RESTART: Order.LEAVE,
    pb.VERDICT_DRAIN: Order.LEAVE,
    pb.VERDICT_DIE: Order.DIE,
}

_NOT_OURS: Final = {
    # Not known there; or another engine has taken the port, which has another token.
    StatusCode.NOT_FOUND,
    StatusCode.UNAUTHENTICATED,
    StatusCode.PERMISSION_DENIED,
    StatusCode.UNIMPLEMENTED,
}
_REFUSED: Final = {
    StatusCode.INVALID_ARGUMENT,
    StatusCode.FAILED_PRECONDITION,
    StatusCode.ALREADY_EXISTS,
    StatusCode.OUT_OF_RANGE,
}

_LOST: Final = {StatusCode.UNAVAILABLE, StatusCode.CANCELLED}
"""No deadline is among them: a job of an hour may be slow by its own doing. Nor is what the engine
answers when it fails: what is sent to it may be why."""


def _nothing() -> None:
    return


class RpcLink:
    """An `EngineLink` over two connections: a file is read while rows made of it are sent."""

    def __init__(
        self,
        settings: WorkerSettings,
        *,
        call_s: float = _CALL_S,
        before_call: Callable[[], None] = _nothing,
    ) -> None:
        """Connect when the first call needs it.

        Args:
          call_s: how long a call may take that was given no other time.
          before_call: told of each call that is about to be made, so that they can be counted.
        """
        self._call_s = call_s
        self._before_call = before_call
        self._worker_id = settings.worker_id
        self._connection = GuardedConnection(_channel_to(settings.engine))
        self._upload_connection = GuardedConnection(_channel_to(settings.engine))
        self._service = bind(WorkerServiceServicer, self._connection.channel)
        self._upload_service = bind(WorkerServiceServicer, self._upload_connection.channel)
        self.models = ModelLink(
            settings.worker_id, lambda: _channel_to(settings.engine), _mapped_errors
        )

    def close(self) -> None:
        """Close the connections; the next call opens another."""
        self._connection.close()
        self._upload_connection.close()
        self.models.close()

    def check(self, report: Report, timeout_s: float) -> Reply:
        """Report, and be told what to do."""
        progress = report.progress
        request = pb.CheckRequest(
            worker_id=self._worker_id,
            token=progress.token or "",
            progress=progress.counter,
            progress_total=progress.total,
            progress_note=progress.note,
            memory_bytes=report.memory_bytes or 0,
            jobs_done=report.jobs_done,
            counters=report.counters,
            still_ms=int(progress.still_s * 1000),
        )
        response = self._call(self._service.Check, request, timeout_s)
        again_in_s = response.again_ms / 1000 if response.again_ms > 0 else None
        return Reply(_order_of(response.verdict), response.cancel_token or None, again_in_s)

    def take_jobs(self, most: int, wait_s: float) -> tuple[Sequence[Job], Order]:
        """Return jobs to do."""
        request = pb.TakeJobsRequest(
            worker_id=self._worker_id, most=most, wait_ms=int(wait_s * 1000)
        )
        response = self._call(self._service.TakeJobs, request, wait_s + _ANSWER_S)
        jobs = [
            Job(
                job_id=job.job_id,
                token=job.token,
                job_type=job.job_type,
                payload_json=job.payload_json,
                attempt=job.attempt,
                request_id=job.request_id,
                traceparent=job.traceparent,
            )
            for job in response.jobs
        ]
        return jobs, _order_of(response.verdict)

    def hand_in(self, outcomes: Sequence[Outcome]) -> None:
        """Tell how jobs ended."""
        done = [outcome for outcome in outcomes if isinstance(outcome, Done)]
        for part in _in_parts(done, lambda outcome: len(outcome.result_json)):
            self._complete(part)
        for outcome in outcomes:
            if isinstance(outcome, Failed):
                self._fail(outcome)

    def give_back(self, jobs: Sequence[Job]) -> None:
        """Return jobs that were not begun."""
        tickets = [pb.JobTicket(job_id=job.job_id, token=job.token) for job in jobs]
        request = pb.GiveBackJobsRequest(worker_id=self._worker_id, jobs=tickets)
        self._call(self._service.GiveBackJobs, request, self._call_s)

    def read_upload(self, job: Job, upload_id: str) -> Iterator[bytes]:
        """Yield the content of the file that a job is about."""
        request = pb.ReadUploadRequest(
            worker_id=self._worker_id, upload_id=upload_id, job_id=job.job_id, token=job.token
        )
        with self._upload_connection.guarded(), _mapped_errors():
            for response in self._upload_service.ReadUpload(request, timeout_s=_UPLOAD_S):
                yield response.content

    def stage_rows(self, job: Job, upload_id: str, parts: Iterable[RowsPart]) -> None:
        """Send rows, and what was not taken, ahead of the job's outcome."""

        def requests() -> Iterator[pb.StageRowsRequest]:
            yield pb.StageRowsRequest(
                worker_id=self._worker_id,
                job_id=job.job_id,
                token=job.token,
                upload_id=upload_id,
            )
            for part in parts:
                rejects = [_reject(reject) for reject in part.rejects]
                for batch in _batch_parts(part.rows):
                    yield pb.StageRowsRequest(rows=_ipc_bytes(batch), rejects=rejects)
                    rejects = []
                if rejects or not part.rows.num_rows:
                    # Even with nothing: the engine gives up a connection that stays silent.
                    yield pb.StageRowsRequest(rejects=rejects)

        # One call for all: the windows of HTTP/2 bound how far the engine may be behind.
        self._call(self._service.StageRows, requests(), _UPLOAD_S)

    def _complete(self, outcomes: Sequence[Done]) -> None:
        completions = [
            pb.JobCompletion(
                job_id=outcome.job.job_id,
                token=outcome.job.token,
                result_json=outcome.result_json,
            )
            for outcome in outcomes
        ]
        request = pb.CompleteJobsRequest(worker_id=self._worker_id, jobs=completions)
        response = self._call(self._service.CompleteJobs, request, self._call_s)
        for verdict in response.verdicts:
            if not verdict.accepted:
                logger.warning("result of job %s not taken: %s", verdict.job_id, verdict.detail)

    def _fail(self, outcome: Failed) -> None:
        failure = outcome.failure
        request = pb.FailJobRequest(
            worker_id=self._worker_id,
            job_id=outcome.job.job_id,
            token=outcome.job.token,
            code=failure.code,
            message=failure.message,
            permanent=failure.permanent,
            stack=failure.stack,
            out_of_reach=failure.out_of_reach,
        )
        response = self._call(self._service.FailJob, request, self._call_s)
        if not response.accepted:
            logger.warning("failure of job %s not taken: %s", outcome.job.job_id, response.detail)

    def _call(self, method: Callable[..., Any], request: Any, timeout_s: float) -> Any:
        self._before_call()
        with self._connection.guarded(), _mapped_errors():
            return method(request, timeout_s=timeout_s)


@contextmanager
def _mapped_errors() -> Iterator[None]:
    try:
        yield
    except RpcFailedError as error:
        status = error.status
        detail = f"{status.status_code.name}: {status.status_message}"
        if status.status_code in _NOT_OURS:
            raise GivenUpError(detail) from None
        if status.status_code in _REFUSED:
            raise RefusedError(detail) from None
        if status.status_code in _LOST:
            raise ConnectionLostError(detail) from None
        raise EngineUnreachableError(detail) from None


def _channel_to(engine: EngineAddress) -> BlockingChannel:
    tls = engine.tls
    context = None
    if tls is not None:
        context = open_pinned_tls(tls.authority_pem, check_name=tls.server_name is not None)
    options = ChannelOptions(
        timeout_s=_CALL_S,
        bearer_token=engine.token,
        tls=context,
        tls_name=None if tls is None else tls.server_name,
    )
    return BlockingChannel(engine.host, engine.port, options)


def _order_of(verdict: pb.Verdict) -> Order:
    return _ORDERS.get(verdict, Order.CONTINUE)


def _in_parts(outcomes: Sequence[Done], size_of: Callable[[Done], int]) -> Iterator[Sequence[Done]]:
    """Yield the outcomes in parts that each fit into a message."""
    part: list[Done] = []
    size_bytes = 0
    for outcome in outcomes:
        if part and size_bytes + size_of(outcome) > _MESSAGE_BYTES:
            yield part
            part, size_bytes = [], 0
        part.append(outcome)
        size_bytes += size_of(outcome)
    if part:
        yield part


def _batch_parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield a batch in slices that each fit into a message, as far as rows allow."""
    rows = max(1, batch.num_rows * _MESSAGE_BYTES // max(batch.nbytes, 1))
    for begin in range(0, batch.num_rows, rows):
        yield batch.slice(begin, rows)


def _ipc_bytes(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())


def _reject(reject: RejectedRow) -> pb.RejectedRow:
    return pb.RejectedRow(
        row=reject.row,
        column=reject.column,
        reason=reject.reason,
        detail=reject.detail,
        excerpt=reject.excerpt,
    )
