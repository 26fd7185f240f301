"""Service D: looks for drift, keeps the reports, and follows them up."""

import json
import logging
from collections.abc import Mapping
from typing import Any

import trio

from engine import tracing
from engine.clock import read_clock_us
from engine.config import ThresholdsConfig
from engine.errors import FailedPreconditionError, NotFoundError, TrellisError
from engine.features import HistoryReader
from engine.jobs import ClaimedJob, JobSpec
from engine.learning.ages import age_s, to_monotonic_s
from engine.learning.announcing import show_report
from engine.learning.drift_records import (
    DRIFTED,
    DriftReport,
    decides_reports,
    make_report,
    read_new_reports,
    read_reports,
    read_result,
    row_of_refusal,
    row_of_retraining,
    rows_of_report,
)
from engine.learning.payloads import (
    DETECT_DRIFT,
    DriftRequest,
    read_drift_check,
    request_drift_check,
    write_drift_check,
)
from engine.learning.ports import JobPlan, JobQueue, LastCommit
from engine.learning.trainings import Trainings
from engine.models import ModelRegistry, ModelVersion
from engine.models.labels import find_history
from engine.models.policy import Cause
from engine.records import Commit, Operation, RequestWriter, WriteRequest
from engine.request_context import make_request_id
from engine.store.queries import load_queries

logger = logging.getLogger(__name__)

_QUERIES = load_queries("engine.learning")
_SECOND_US = 1_000_000
_RETRY_S = 5.0
"""Until what could not be decided is tried again."""


class WindowTooEarlyError(FailedPreconditionError):
    """The window still holds what the champion was trained on."""


class DriftEndings:
    """Turns results into reports. Made before the jobs, whose hook it holds."""

    async def complete(self, job: ClaimedJob, result: Mapping[str, Any]) -> tuple[Operation, ...]:
        """Return the rows of a report.

        Raises:
          InvalidArgumentError: the result is not one of a look for drift.
        """
        request = read_drift_check(json.loads(job.payload_json))
        report = make_report(job.job_id, request, read_result(result), read_clock_us())
        return rows_of_report(report)


class DriftChecks:
    """Starts looks, one at a model at a time, and trainings when they found drift.

    Used from the Trio thread.
    """

    def __init__(
        self,
        jobs: JobQueue,
        models: ModelRegistry,
        trainings: Trainings,
        reader: HistoryReader,
        writer: RequestWriter,
        last_commit: LastCommit,
        thresholds: ThresholdsConfig,
        plan: JobPlan,
    ) -> None:
        self._jobs = jobs
        self._models = models
        self._trainings = trainings
        self._reader = reader
        self._writer = writer
        self._last_commit = last_commit
        self._thresholds = thresholds
        self._plan = plan
        self._job_ids: dict[str, str] = {}
        self._started_s: dict[str, float] = {}
        self._starting = trio.Lock()
        self._reported = trio.Event()
        self._decided = trio.Event()

    async def load(self) -> None:
        """Read what earlier engines have started, and show what they found last.

        Before anything else. Raises StoreError.
        """
        of_type = {"job_type": DETECT_DRIFT}
        for job_id, model in await self._reader.fetch_rows(_QUERIES["jobs_under_way"], of_type):
            self._job_ids[model] = job_id
        for model, started_us, _ in await self._reader.fetch_rows(_QUERIES["last_jobs"], of_type):
            self._started_s[model] = to_monotonic_s(started_us)
        for (report_id,) in await self._reader.fetch_rows(_QUERIES["latest_reports"]):
            for report in await self.list(report_id=report_id, most=1):
                show_report(report)

    def age_s(self, model: str) -> float | None:
        """Return how long ago a look at a model was last started; None if none was."""
        return age_s(self._started_s.get(model))

    async def start(self, model: str, cause: Cause, request_id: str = "") -> str:
        """Start a look at a model's latest window, unless one is under way; return its job.

        Args:
          request_id: of the call; empty: the look gets one of its own, which a training that
            follows has, too.
        Raises:
          NotFoundError: there is no such model.
          FailedPreconditionError: it is not declared with a label, has no trained champion to
            compare with, or there are no events yet; WindowTooEarlyError: nobody has called for
            the look, and the window does not yet lie wholly after the rows that the champion
            was fitted on.
          UnavailableError: the engine is shutting down.
        Cancellation: a checkpoint before the job is accepted; then nothing is started.
        """
        spec = self._trainings.find_spec(model)
        champion = self._models.find(model).champion
        if champion is None:
            raise FailedPreconditionError(
                f"the model {model!r} has no champion to compare with; train it first"
            )
        async with self._starting:
            under_way = self._job_ids.get(model)
            if under_way is not None and not (await self._jobs.get(under_way)).state.is_final:
                return under_way
            commit_seq = self._last_commit.commit_seq
            history = await find_history(self._reader, commit_seq, read_clock_us())
            if history is None:
                raise FailedPreconditionError("there are no events to look at yet")
            request = request_drift_check(
                spec,
                champion,
                history,
                self._thresholds,
                cause,
            )
            if cause is not Cause.CALL:  # a person knows what he asks for
                _check_window(request, champion)
            with tracing.start("start drift check") as span:
                span.set("trellis.model", model)
                span.set("trellis.cause", cause)
                submission = await self._jobs.submit(
                    JobSpec(
                        DETECT_DRIFT,
                        write_drift_check(request),
                        pool=self._plan.pool,
                        max_attempts=self._plan.max_attempts,
                        request_id=request_id or make_request_id(),
                    )
                )
            self._job_ids[model] = submission.job_id
            self._started_s[model] = trio.current_time()
        return submission.job_id

    async def find(self, report_id: str) -> DriftReport | None:
        """Return a report; None if there is none. Raises StoreError."""
        found = await self.list(report_id=report_id, most=1)
        return found[0] if found else None

    async def find_decided(self, report_id: str, within_s: float) -> DriftReport | None:
        """Return a report when it is known what becomes of it, or after `within_s` as it is then.

        Returns: None if there is none.
        Raises: StoreError.
        """
        deadline_s = trio.current_time() + within_s
        while True:
            decided = self._decided
            report = await self.find(report_id)
            if report is None or report.is_decided or trio.current_time() >= deadline_s:
                return report
            with trio.move_on_at(deadline_s):
                await decided.wait()

    async def list(
        self, model: str = "", *, before: str = "", report_id: str = "", most: int = 20
    ) -> list[DriftReport]:
        """Return reports, the latest first.

        Args:
          model: only of this one; empty for all.
          before: the identity of the report to go on after.
        Raises: StoreError.
        """
        reports = await self._reader.fetch_rows(
            _QUERIES["reports"],
            {"model": model, "before": before, "report_id": report_id, "most": most},
        )
        features = await self._reader.fetch_arrow(
            _QUERIES["features_of_reports"], {"report_ids": [row[0] for row in reports]}
        )
        return read_reports(reports, features.to_pylist())

    def note_commit(self, commit: Commit) -> None:
        """Take notice of a commit: a report may have come with it. A commit listener.

        What is noted of a report afterwards is no news, or each look would cause the next.
        """
        for request in commit.requests:
            if decides_reports(request.operations):
                self._decided.set()
                self._decided = trio.Event()
            for report in read_new_reports(request.operations):
                if report.verdict == DRIFTED:
                    self._reported.set()
                else:
                    self._trainings.note_cured(report.model)

    async def run_follow_up(self) -> None:
        """Start a training for each report of drift, or note why there is none; until cancelled.

        What an engine that was killed has left undecided is decided first. What cannot be decided
        just now is logged and tried again.
        """
        while True:
            self._reported = trio.Event()
            try:
                for report_id, latest_id in await self._reader.fetch_rows(
                    _QUERIES["undecided_reports"]
                ):
                    report = await self.find(report_id)
                    if report is None:
                        continue
                    if report_id == latest_id:
                        await self._decide(report)
                    else:
                        await self._refuse(report, f"the later report {latest_id} counts")
            except TrellisError as error:
                logger.warning("drift cannot be followed up", extra={"detail": str(error)})
                await trio.sleep(_RETRY_S)
                continue
            await self._reported.wait()

    async def _decide(self, report: DriftReport) -> None:
        look = await self._jobs.get(report.job_id)
        # In the trace of the look, and under its id: they answer why the model was trained.
        with tracing.start("follow up drift", parent={"traceparent": look.traceparent}) as span:
            span.set("trellis.model", report.model)
            span.set("trellis.drift.report.id", report.report_id)
            refusal = await self._train(report, look.request_id)
            if refusal is not None:
                span.set("trellis.reason", refusal)
                await self._refuse(report, refusal, look.request_id)

    async def _train(self, report: DriftReport, request_id: str) -> str | None:
        """Start a training; return why none was started."""
        try:
            job_id = self._jobs.new_job_id()
            started = await self._trainings.start(
                report.model,
                Cause.DRIFT,
                report.report_id,
                (row_of_retraining(report.report_id, job_id),),
                job_id=job_id,
                request_id=request_id,
            )
        except (FailedPreconditionError, NotFoundError) as error:
            return str(error)
        return started.refusal

    async def _refuse(self, report: DriftReport, reason: str, request_id: str = "") -> None:
        facts = {"model": report.model, "report_id": report.report_id, "reason": reason}
        if request_id:
            facts["request_id"] = request_id
        logger.info("drift starts no training", extra=facts)
        await self._writer.submit(WriteRequest((row_of_refusal(report, reason),)))


def _check_window(request: DriftRequest, champion: ModelVersion) -> None:
    """Refuse to compare what a version was fitted on with itself: it hides what is new since."""
    if champion.trained is None:
        return
    missing_us = champion.trained.trained_until_us - request.window_start_us
    if missing_us > 0:
        raise WindowTooEarlyError(
            f"the window begins before the last row that version {champion.version} of "
            f"{champion.model!r} was fitted on; look again when there are events of "
            f"{missing_us / _SECOND_US:.0f} s more, or make drift.window shorter"
        )
