"""A report of drift as rows, and back. Pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs
import msgspec
import pyarrow as pa

from engine.clock import to_datetime, to_us
from engine.errors import InvalidArgumentError
from engine.learning.payloads import DriftRequest
from engine.records import Append, Operation, Upsert

REPORTS: Final = "drift_reports"
FEATURES: Final = "drift_features"
DRIFTED: Final = "DRIFTED"

_MOST_FEATURES: Final = 1_000


class Bins(msgspec.Struct, omit_defaults=True):
    """A distribution: inner edges of bins or categories, and the share of each."""

    shares: list[float]
    edges: list[float] = []
    categories: list[str] = []


class FeatureDrift(msgspec.Struct):
    """How far one feature has drifted; None where a measure does not apply."""

    feature: str
    kind: str
    reference_rows: int
    current_rows: int
    psi: float | None
    ks_statistic: float | None
    ks_p_value: float | None
    chi_squared: float | None
    chi_squared_p_value: float | None
    adjusted_p_value: float | None
    wasserstein: float | None
    reference_missing_rate: float
    current_missing_rate: float
    new_categories: list[str]
    drifted: bool
    reasons: list[str]
    reference: Bins
    current: Bins
    missing_p_value: float | None = None
    adjusted_missing_p_value: float | None = None


class DriftResult(msgspec.Struct):
    """What a look for drift returns."""

    rows: int
    reference_rows: int
    verdict: str
    features_checked: int
    features_drifted: int
    prediction_drifted: bool
    not_compared: dict[str, str]
    features: list[FeatureDrift]


@attrs.frozen
class DriftReport:
    """A report as it is kept. Times are microseconds UTC."""

    report_id: str
    model: str
    version: int
    job_id: str
    cause: str
    checked_at_us: int
    window_start_us: int
    window_end_us: int
    rows: int
    verdict: str
    features: tuple[FeatureDrift, ...]
    retrain_job_id: str | None = None
    not_retrained_because: str | None = None

    @property
    def is_decided(self) -> bool:
        """Whether it is known what becomes of it: a training, or why there is none."""
        decided = self.retrain_job_id is not None or self.not_retrained_because is not None
        return decided or self.verdict != DRIFTED

    not_compared: Mapping[str, str] = attrs.field(factory=dict)


def read_result(result: Mapping[str, Any]) -> DriftResult:
    """Return a job's result. Raises InvalidArgumentError if it is not one of a look for drift."""
    try:
        read = msgspec.convert(result, DriftResult)
    except msgspec.ValidationError as error:
        raise InvalidArgumentError("result", f"is no drift report: {error}") from error
    if len(read.features) > _MOST_FEATURES:
        raise InvalidArgumentError("result", f"has more than {_MOST_FEATURES} features")
    return read


def make_report(
    job_id: str, request: DriftRequest, result: DriftResult, checked_at_us: int
) -> DriftReport:
    """Return the report of a look; it bears the job's id."""
    return DriftReport(
        report_id=job_id,
        model=request.model,
        version=request.version,
        job_id=job_id,
        cause=request.cause.value,
        checked_at_us=checked_at_us,
        window_start_us=request.window_start_us,
        window_end_us=request.window_end_us,
        rows=result.rows,
        verdict=result.verdict,
        features=tuple(result.features),
        not_compared=result.not_compared,
    )


def rows_of_report(report: DriftReport) -> tuple[Operation, ...]:
    """Return the rows of a new report."""
    columns = (
        "report_id",
        "model",
        "version",
        "job_id",
        "cause",
        "checked_at",
        "window_start",
        "window_end",
        "rows_checked",
        "verdict",
        "features_checked",
        "features_drifted",
        "detail",
    )
    row = (
        report.report_id,
        report.model,
        report.version,
        report.job_id,
        report.cause,
        to_datetime(report.checked_at_us),
        to_datetime(report.window_start_us),
        to_datetime(report.window_end_us),
        report.rows,
        report.verdict,
        len(report.features),
        sum(feature.drifted for feature in report.features),
        _write_detail(report),
    )
    features = [_row_of_feature(report, feature) for feature in report.features]
    return (
        Upsert(REPORTS, columns, [row]),
        Append(FEATURES, pa.RecordBatch.from_pylist(features, schema=_FEATURE_ROWS)),
    )


def read_new_reports(operations: Sequence[Operation]) -> list[DriftReport]:
    """Return the reports that operations of `rows_of_report` add."""
    reports: list[dict[str, Any]] = []
    features: dict[str, list[FeatureDrift]] = {}
    for operation in operations:
        match operation:
            case Upsert(table=table, columns=columns) if table == REPORTS and "verdict" in columns:
                reports += [dict(zip(columns, row, strict=True)) for row in operation.rows]
            case Append(table=table) if table == FEATURES:
                for row in operation.data.to_pylist():
                    features.setdefault(row["report_id"], []).append(_feature_of(row))
            case _:
                pass
    return [
        DriftReport(
            report_id=row["report_id"],
            model=row["model"],
            version=row["version"],
            job_id=row["job_id"],
            cause=row["cause"],
            checked_at_us=to_us(row["checked_at"]),
            window_start_us=to_us(row["window_start"]),
            window_end_us=to_us(row["window_end"]),
            rows=row["rows_checked"],
            verdict=row["verdict"],
            features=tuple(features.get(row["report_id"], ())),
            not_compared=json.loads(row["detail"])["not_compared"],
        )
        for row in reports
    ]


def decides_reports(operations: Iterable[Operation]) -> bool:
    """Return whether operations say of a report what becomes of it."""
    return any(
        isinstance(one, Upsert) and one.table == REPORTS and "verdict" not in one.columns
        for one in operations
    )


def row_of_retraining(report_id: str, job_id: str) -> Operation:
    """Return what says which training a report has started."""
    return Upsert(REPORTS, ("report_id", "retrain_job_id"), [(report_id, job_id)])


def row_of_refusal(report: DriftReport, reason: str) -> Operation:
    """Return what says why a report has started no training."""
    refused = attrs.evolve(report, not_retrained_because=reason)
    return Upsert(REPORTS, ("report_id", "detail"), [(report.report_id, _write_detail(refused))])


def read_reports(
    reports: Sequence[tuple[Any, ...]], features: Sequence[Mapping[str, Any]]
) -> list[DriftReport]:
    """Return reports from rows of the queries `reports` and `features_of_reports`."""
    of_report: dict[str, list[FeatureDrift]] = {}
    for feature in features:
        of_report.setdefault(feature["report_id"], []).append(_feature_of(feature))
    found = []
    for row in reports:
        plain = dict(zip(_REPORT_COLUMNS, row[: len(_REPORT_COLUMNS)], strict=True))
        detail, retrain_job_id = row[len(_REPORT_COLUMNS) :]
        facts = json.loads(detail)
        found.append(
            DriftReport(
                **plain,
                features=tuple(of_report.get(plain["report_id"], ())),
                retrain_job_id=retrain_job_id,
                not_retrained_because=facts.get("not_retrained_because"),
                not_compared=facts.get("not_compared", {}),
            )
        )
    return found


_REPORT_COLUMNS = (
    "report_id",
    "model",
    "version",
    "job_id",
    "cause",
    "checked_at_us",
    "window_start_us",
    "window_end_us",
    "rows",
    "verdict",
)


_FEATURE_ROWS = pa.schema(
    [
        ("report_id", pa.string()),
        ("model", pa.string()),
        ("version", pa.int32()),
        ("feature", pa.string()),
        ("kind", pa.string()),
        ("checked_at", pa.timestamp("us")),
        ("reference_rows", pa.int64()),
        ("current_rows", pa.int64()),
        ("psi", pa.float64()),
        ("ks_statistic", pa.float64()),
        ("ks_p_value", pa.float64()),
        ("chi_squared", pa.float64()),
        ("chi_squared_p_value", pa.float64()),
        ("adjusted_p_value", pa.float64()),
        ("missing_p_value", pa.float64()),
        ("adjusted_missing_p_value", pa.float64()),
        ("wasserstein", pa.float64()),
        ("reference_missing_rate", pa.float64()),
        ("current_missing_rate", pa.float64()),
        ("new_categories", pa.string()),
        ("drifted", pa.bool_()),
        ("reasons", pa.string()),
        ("reference_bins", pa.string()),
        ("current_bins", pa.string()),
    ]
)


def _row_of_feature(report: DriftReport, feature: FeatureDrift) -> dict[str, Any]:
    row = {name: getattr(feature, name) for name in _PLAIN}
    return row | {
        "report_id": report.report_id,
        "model": report.model,
        "version": report.version,
        "checked_at": report.checked_at_us,
        "new_categories": _to_json(feature.new_categories),
        "reasons": _to_json(feature.reasons),
        "reference_bins": _to_json(feature.reference),
        "current_bins": _to_json(feature.current),
    }


_PLAIN = (
    "feature",
    "kind",
    "reference_rows",
    "current_rows",
    "psi",
    "ks_statistic",
    "ks_p_value",
    "chi_squared",
    "chi_squared_p_value",
    "adjusted_p_value",
    "missing_p_value",
    "adjusted_missing_p_value",
    "wasserstein",
    "reference_missing_rate",
    "current_missing_rate",
    "drifted",
)


def _feature_of(row: Mapping[str, Any]) -> FeatureDrift:
    return FeatureDrift(
        **{name: row[name] for name in _PLAIN},
        new_categories=json.loads(row["new_categories"]),
        reasons=json.loads(row["reasons"]),
        reference=msgspec.json.decode(row["reference_bins"], type=Bins),
        current=msgspec.json.decode(row["current_bins"], type=Bins),
    )


def _write_detail(report: DriftReport) -> str:
    facts: dict[str, Any] = {"not_compared": dict(report.not_compared)}
    if report.not_retrained_because is not None:
        facts["not_retrained_because"] = report.not_retrained_because
    return _to_json(facts)


def _to_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
