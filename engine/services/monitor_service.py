"""`trellis.v1.MonitorService`: drift, and trainings by call."""

from engine.errors import FailedPreconditionError, UnavailableError
from engine.jobs import Jobs, JobView
from engine.learning.drift_checks import DriftChecks
from engine.learning.drift_records import DRIFTED, Bins, DriftReport, FeatureDrift
from engine.learning.trainings import Trainings
from engine.models.policy import Cause
from engine.rpc import current_request_id
from engine.services.arguments import read_page_size, read_page_token
from engine.services.feature_rows import set_time
from proto.trellis.v1 import monitor_pb2 as pb
from proto.trellis.v1.monitor_grpc import MonitorServiceServicer

# ruff: noqa: N802 - the methods are named by the API

_PAGE_DEFAULT = 20
_PAGE_MAX = 100
_BEFORE = "before:"
_DECIDED_WITHIN_S = 10.0
"""It takes milliseconds, or, when the data file could not be asked, until the second try."""


class MonitorService(MonitorServiceServicer):  # type: ignore[misc]  # generated code has no types
    """Parses, asks service C and D, encodes."""

    def __init__(self, jobs: Jobs, checks: DriftChecks, trainings: Trainings) -> None:
        self._jobs = jobs
        self._checks = checks
        self._trainings = trainings

    async def DetectDrift(self, input_message: pb.DetectDriftRequest) -> pb.DetectDriftResponse:
        """Look for drift and wait for the report. See `monitor.proto`."""
        job_id = await self._checks.start(input_message.model, Cause.CALL, current_request_id())
        ended = await self._wait(job_id)
        # The training that it starts is accepted after it; without, the answer would say: none.
        report = await self._checks.find_decided(job_id, _DECIDED_WITHIN_S)
        if report is None:
            raise FailedPreconditionError(
                f"the look for drift has failed ({ended.error_code or ended.state.value.lower()}): "
                f"{ended.error_message or 'see the job'}; job {job_id}"
            )
        return pb.DetectDriftResponse(report=_encode(report))

    async def ListDriftReports(
        self, input_message: pb.ListDriftReportsRequest
    ) -> pb.ListDriftReportsResponse:
        """Answer with a page of the reports, the latest first. See `monitor.proto`."""
        request = input_message
        size = read_page_size(request.page_size, default=_PAGE_DEFAULT, largest=_PAGE_MAX)
        before = read_page_token(request.page_token, _BEFORE)
        found = await self._checks.list(request.model, before=before, most=size + 1)
        more = len(found) > size
        return pb.ListDriftReportsResponse(
            reports=map(_encode, found[:size]),
            next_page_token=_BEFORE + found[size - 1].report_id if more else "",
        )

    async def Retrain(self, input_message: pb.RetrainRequest) -> pb.RetrainResponse:
        """Start a training. See `monitor.proto`."""
        started = await self._trainings.start(
            input_message.model, Cause.CALL, request_id=current_request_id()
        )
        return pb.RetrainResponse(job_id=started.job_id, created=started.refusal is None)

    async def _wait(self, job_id: str) -> JobView:
        """Wait until a job has ended; the caller's deadline bounds it."""
        async for view in self._jobs.watch(job_id):
            if view.state.is_final:
                return view
        raise UnavailableError("the engine is shutting down")


def _encode(report: DriftReport) -> pb.DriftReport:
    drifted = report.verdict == DRIFTED
    message = pb.DriftReport(
        report_id=report.report_id,
        model=report.model,
        model_version=report.version,
        cause=report.cause,
        rows=report.rows,
        verdict=pb.DRIFT_VERDICT_DRIFTED if drifted else pb.DRIFT_VERDICT_STABLE,
        features=map(_encode_feature, report.features),
        retrain_job_id=report.retrain_job_id or "",
        not_retrained_because=report.not_retrained_because or "",
        job_id=report.job_id,
        not_compared=report.not_compared,
    )
    set_time(message.checked_at, report.checked_at_us)
    set_time(message.window_start, report.window_start_us)
    set_time(message.window_end, report.window_end_us)
    return message


def _encode_feature(feature: FeatureDrift) -> pb.FeatureDrift:
    return pb.FeatureDrift(
        feature=feature.feature,
        kind=feature.kind,
        reference_rows=feature.reference_rows,
        current_rows=feature.current_rows,
        psi=feature.psi,
        ks_statistic=feature.ks_statistic,
        ks_p_value=feature.ks_p_value,
        chi_squared=feature.chi_squared,
        chi_squared_p_value=feature.chi_squared_p_value,
        adjusted_p_value=feature.adjusted_p_value,
        missing_p_value=feature.missing_p_value,
        adjusted_missing_p_value=feature.adjusted_missing_p_value,
        wasserstein=feature.wasserstein,
        reference_missing_rate=feature.reference_missing_rate,
        current_missing_rate=feature.current_missing_rate,
        new_categories=feature.new_categories,
        drifted=feature.drifted,
        reasons=feature.reasons,
        reference=_encode_bins(feature.reference),
        current=_encode_bins(feature.current),
    )


def _encode_bins(bins: Bins) -> pb.Distribution:
    return pb.Distribution(edges=bins.edges, categories=bins.categories, shares=bins.shares)
