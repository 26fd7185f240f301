"""Clients that insist: they send jobs and files until the engine acknowledges, and remember what.

A call that fails is made again with the same idempotency key, as the documentation tells clients
to. What was acknowledged is then owed: `find_violations` looks for all of it in the data file.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import attrs
import duckdb
import grpc

from proto.trellis.v1 import features_pb2, ingest_pb2, jobs_pb2

JOB_TYPE = "brief"
JOB_TYPES_SETTING = (
    f"workers.job_types={{{JOB_TYPE}: {{handler: 'tests.faults.brief_jobs:run', "
    "max_attempts: 20}, process_upload: {max_attempts: 20}}"
)
"""What an engine under this load is to be started with."""
ROWS_A_FILE = 20
UPDATED_AT = "2026-01-01T00:00:00Z"
"""Far from the edges of what is accepted, also where the clock is set back."""
_FIRST_ENTITY = 1_000_000
_CALL_S = 3.0
_PAUSE_S = 0.05
_CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    # Despite its name, also what each attempt to connect is given at least.
    ("grpc.min_reconnect_backoff_ms", 2_000),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.use_local_subchannel_pool", 1),
)
FINAL = frozenset(
    {
        jobs_pb2.JOB_STATE_SUCCEEDED,
        jobs_pb2.JOB_STATE_FAILED,
        jobs_pb2.JOB_STATE_CANCELLED,
        jobs_pb2.JOB_STATE_DEAD,
    }
)
AGAIN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
        # A server that is reset in the middle of an answer is told of as one of these by gRPC.
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
    }
)

Reply = TypeVar("Reply")


class EngineClient:
    """Calls of an engine, each made once. Thread-safe; a context manager."""

    def __init__(self, *, uploads: str, jobs: str, features: str) -> None:
        """Connect when the first call needs it.

        Args:
          uploads, jobs, features: `host:port` of the services, or of proxies before them.
        """
        self._uploads = grpc.insecure_channel(uploads, options=_CHANNEL_OPTIONS)
        self._jobs = grpc.insecure_channel(jobs, options=_CHANNEL_OPTIONS)
        self._features = grpc.insecure_channel(features, options=_CHANNEL_OPTIONS)

    def submit(self, payload: dict[str, Any], *, key: str, delay_s: float = 0.0) -> str:
        """Submit a job; return its id."""
        request = jobs_pb2.SubmitJobRequest(
            job_type=JOB_TYPE,
            payload_json=json.dumps(payload),
            idempotency_key=key,
            delay_s=delay_s,
        )
        method = "JobService/SubmitJob"
        return str(self._ask(self._jobs, method, request, jobs_pb2.SubmitJobResponse).job_id)

    def job(self, job_id: str) -> jobs_pb2.Job:
        """Return where a job stands."""
        request = jobs_pb2.GetJobRequest(job_id=job_id)
        return self._ask(self._jobs, "JobService/GetJob", request, jobs_pb2.GetJobResponse).job

    def watch(self, job_id: str, timeout_s: float) -> Iterator[jobs_pb2.Job]:
        """Yield a job's states until it has ended."""
        call = self._jobs.unary_stream(
            "/trellis.v1.JobService/WatchJob",
            request_serializer=jobs_pb2.WatchJobRequest.SerializeToString,
            response_deserializer=jobs_pb2.WatchJobResponse.FromString,
        )
        for reply in call(jobs_pb2.WatchJobRequest(job_id=job_id), timeout=timeout_s):
            yield reply.job

    def wait_ended(self, job_id: str, timeout_s: float = 30.0) -> jobs_pb2.Job:
        """Wait until a job has ended; return it.

        Raises:
          TimeoutError: it has not.
        """

        def ended() -> jobs_pb2.Job | None:
            job = self.job(job_id)
            return job if job.state in FINAL else None

        return _insist_until(ended, f"end of job {job_id}", time.monotonic() + timeout_s)

    def upload(self, content: bytes, *, key: str, chunk_bytes: int = 65_536) -> str:
        """Send a file of profiles as NDJSON; return its upload's id."""

        def messages() -> Iterator[ingest_pb2.UploadFileRequest]:
            header = ingest_pb2.UploadHeader(
                dataset="profiles",
                filename=f"{key}.ndjson",
                content_type="application/x-ndjson",
                idempotency_key=key,
            )
            yield ingest_pb2.UploadFileRequest(header=header)
            for start in range(0, len(content), chunk_bytes):
                chunk = content[start : start + chunk_bytes]
                yield ingest_pb2.UploadFileRequest(chunk=chunk)

        call = self._uploads.stream_unary(
            "/trellis.v1.IngestService/UploadFile",
            request_serializer=ingest_pb2.UploadFileRequest.SerializeToString,
            response_deserializer=ingest_pb2.UploadFileResponse.FromString,
        )
        return str(call(messages(), timeout=_CALL_S).upload_id)

    def upload_outcome(self, upload_id: str) -> ingest_pb2.Upload:
        """Return what has come of a file."""
        request = ingest_pb2.GetUploadRequest(upload_id=upload_id)
        method = "IngestService/GetUpload"
        return self._ask(self._uploads, method, request, ingest_pb2.GetUploadResponse).upload

    def read_features(self, user_id: int) -> features_pb2.GetFeaturesResponse:
        """Read a user's features."""
        request = features_pb2.GetFeaturesRequest(entity_key=user_id, features=["plan", "views_5m"])
        method = "FeatureService/GetFeatures"
        return self._ask(self._features, method, request, features_pb2.GetFeaturesResponse)

    def _ask(
        self, channel: grpc.Channel, method: str, request: Any, reply_type: type[Reply]
    ) -> Reply:
        call = channel.unary_unary(
            f"/trellis.v1.{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=reply_type.FromString,  # type: ignore[attr-defined]
        )
        reply: Reply = call(request, timeout=_CALL_S)
        return reply

    def __enter__(self) -> "EngineClient":
        return self

    def __exit__(self, *_: object) -> None:
        for channel in (self._uploads, self._jobs, self._features):
            channel.close()


@attrs.frozen
class SentFile:
    """An acknowledged file of profiles, one row for each of its users."""

    upload_id: str
    users: range


class SteadyLoad:
    """Submits jobs and files in turn, from a thread of its own, until stopped."""

    def __init__(
        self, client: EngineClient, folder: Path, *, job_s: float = 0.05, every_s: float = 0.1
    ) -> None:
        """Prepare a load.

        Args:
          folder: where jobs record their runs; it exists.
          job_s: how long each job takes.
          every_s: from one submission to the next.
        """
        self._client = client
        self._folder = folder
        self._job_s = job_s
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="steady load", daemon=True)
        self._number = 0
        self.jobs: dict[str, str] = {}
        """Acknowledged jobs: id by idempotency key."""
        self.files: list[SentFile] = []
        self.refusals: Counter[str] = Counter()
        self.failure: BaseException | None = None

    @property
    def acknowledged(self) -> int:
        return len(self.jobs) + len(self.files)

    def stop(self, timeout_s: float = 30.0) -> None:
        """Send no more; what is being sent is first acknowledged.

        Raises:
          RuntimeError: something was refused for good, or is still not acknowledged.
        """
        self._stop.set()
        self._thread.join(timeout_s)
        if self.failure is not None:
            raise RuntimeError("the load failed") from self.failure
        if self._thread.is_alive():
            raise RuntimeError(f"not acknowledged within {timeout_s:g} s: {self.refusals}")

    def abandon(self) -> None:
        """Send no more, and owe nothing for what is being sent."""
        self._number = -1
        self._stop.set()
        self._thread.join(10.0)

    def wait_all_ended(self, timeout_s: float = 30.0) -> None:
        """Wait until all acknowledged jobs and uploads have ended.

        Raises:
          TimeoutError: one has not.
        """
        give_up_at_s = time.monotonic() + timeout_s
        for job_id in self.jobs.values():
            self._client.wait_ended(job_id, give_up_at_s - time.monotonic())
        for file in self.files:
            _insist_until(partial(self._has_ended, file), f"end of {file}", give_up_at_s)

    def find_violations(self, data_file: Path) -> list[str]:
        """Compare the data file of a stopped engine with what was acknowledged."""
        return [
            *_find_job_violations(data_file, self.jobs),
            *_find_upload_violations(data_file, self.files),
            *_find_overlaps(self._folder, self.jobs),
        ]

    def __enter__(self) -> "SteadyLoad":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        if kind is None:
            self.stop()

    def _run(self) -> None:
        try:
            while not self._stop.wait(self._every_s):
                self._number += 1
                if self._number % 4:
                    self._submit(f"job-{self._number}")
                else:
                    self._upload(self._number)
        except Exception as error:  # noqa: BLE001 - handed to the thread that calls stop()
            self.failure = error

    def _submit(self, key: str) -> None:
        payload = {"folder": str(self._folder), "seconds": self._job_s}
        job_id = self._insist(lambda: self._client.submit(payload, key=key))
        if job_id is not None:
            self.jobs[key] = job_id

    def _upload(self, number: int) -> None:
        first = _FIRST_ENTITY + number * ROWS_A_FILE
        users = range(first, first + ROWS_A_FILE)
        content = "".join(
            json.dumps({"user_id": user, "plan": "pro", "age": 30, "updated_at": UPDATED_AT}) + "\n"
            for user in users
        ).encode()
        upload_id = self._insist(lambda: self._client.upload(content, key=f"file-{number}"))
        if upload_id is not None:
            self.files.append(SentFile(upload_id, users))

    def _insist(self, call: Any) -> str | None:
        """Make a call until it is acknowledged; None if the load is abandoned first."""
        while self._number >= 0:
            try:
                return str(call())
            except grpc.RpcError as error:
                code = error.code()
                if code not in AGAIN:
                    raise
                self.refusals[f"{code.name}: {error.details()}"] += 1
            time.sleep(_PAUSE_S)
        return None

    def _has_ended(self, file: SentFile) -> bool:
        status = self._client.upload_outcome(file.upload_id).status
        return bool(status != ingest_pb2.UPLOAD_STATUS_RECEIVED)


def _insist_until(ask: Callable[[], Reply | None], what: str, give_up_at_s: float) -> Reply:
    """Ask until the answer says yes, whatever the network does meanwhile."""
    while True:
        try:
            if answer := ask():
                return answer
        except grpc.RpcError as error:
            if error.code() not in AGAIN:
                raise
        if time.monotonic() > give_up_at_s:
            raise TimeoutError(what)
        time.sleep(_PAUSE_S)


def _find_job_violations(data_file: Path, acknowledged: dict[str, str]) -> list[str]:
    with duckdb.connect(str(data_file), read_only=True) as connection:
        accepted = connection.execute(
            "SELECT idempotency_key, job_id FROM job_log WHERE change = 'accepted' "
            "AND idempotency_key IS NOT NULL"
        ).fetchall()
        # A job that scores has no end.
        open_jobs = connection.execute(
            "SELECT job_id FROM job_log WHERE change = 'accepted' AND job_type <> 'score' EXCEPT "
            "SELECT job_id FROM job_outcomes"
        ).fetchall()
        outcomes: dict[str, list[str]] = {}
        for job_id, state in connection.execute(
            "SELECT job_id, state FROM job_outcomes"
        ).fetchall():
            outcomes.setdefault(job_id, []).append(state)
    found = [
        f"{key} was accepted {count} times"
        for key, count in Counter(key for key, _ in accepted).items()
        if count > 1
    ]
    found += [f"{job_id} was accepted and has not ended" for (job_id,) in open_jobs]
    known = dict(accepted)
    for key, job_id in acknowledged.items():
        if known.get(key) != job_id:
            found.append(f"{key} was acknowledged as {job_id}, and is {known.get(key)}")
        if outcomes.get(job_id) != ["SUCCEEDED"]:
            found.append(f"{job_id} ended as {outcomes.get(job_id)}")
    return found


def _find_upload_violations(data_file: Path, files: list[SentFile]) -> list[str]:
    with duckdb.connect(str(data_file), read_only=True) as connection:
        status_of = {
            row[0]: row[1:]
            for row in connection.execute(
                "SELECT upload_id, status, rows_accepted FROM uploads"
            ).fetchall()
        }
        rows_of = dict(
            connection.execute(
                "SELECT entity_key, count(*) FROM feature_history "
                f"WHERE entity_key >= {_FIRST_ENTITY} GROUP BY entity_key"
            ).fetchall()
        )
    found = []
    for file in files:
        status = status_of.get(file.upload_id)
        if status != ("COMPLETED", len(file.users)):
            found.append(f"upload {file.upload_id} is {status}")
        odd = {user: rows_of.get(user, 0) for user in file.users if rows_of.get(user, 0) != 1}
        if odd:
            found.append(f"upload {file.upload_id} has rows other than one a user: {odd}")
    twice = {user: count for user, count in rows_of.items() if count > 1}
    if twice:
        found.append(f"rows that landed more than once: {twice}")
    return found


def _find_overlaps(folder: Path, acknowledged: dict[str, str]) -> list[str]:
    record = folder / "runs"
    lines = [line.split() for line in record.read_text().splitlines()] if record.exists() else []
    began = {job_id for job_id, what, *_ in lines if what == "begins"}
    found = [f"{job_id} never ran" for job_id in acknowledged.values() if job_id not in began]
    found += [f"{line[0]} ran in two workers at once" for line in lines if line[1] == "overlaps"]
    return found
