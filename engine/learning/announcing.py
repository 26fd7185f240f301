"""What came of trainings and looks for drift, told once it is on disk: metrics and log lines."""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from engine import metrics
from engine.learning.drift_records import DRIFTED, DriftReport, read_new_reports
from engine.models.changes import LOG
from engine.records import Append, Commit, Operation

logger = logging.getLogger(__name__)


def announce(commit: Commit) -> None:
    """Count and log what a commit holds of the learning loop. A commit listener.

    What a job returns is nothing before its transaction is on disk: it may be refused, and the job
    be done again.
    """
    for request in commit.requests:
        for report in read_new_reports(request.operations):
            metrics.DRIFT_REPORTS.labels(report.model, report.verdict.lower()).inc()
            show_report(report)
            _log_report(report)
        _announce_training(list(_read_log(request.operations)))


def show_report(report: DriftReport) -> None:
    """Have the gauges of drift say what a report found."""
    metrics.DRIFTED.labels(report.model).set(report.verdict == DRIFTED)
    for feature in report.features:
        metrics.FEATURE_DRIFTED.labels(report.model, feature.feature).set(feature.drifted)
        scores: Iterable[tuple[str, float | None]] = (
            ("psi", feature.psi),
            ("ks", feature.ks_statistic),
            ("wasserstein", feature.wasserstein),
            ("missing_rate", feature.current_missing_rate),
        )
        for measure, value in scores:
            if value is not None:
                metrics.DRIFT_SCORE.labels(report.model, feature.feature, measure).set(value)


def _log_report(report: DriftReport) -> None:
    drifted = [feature.feature for feature in report.features if feature.drifted]
    level = logging.WARNING if report.verdict == DRIFTED else logging.INFO
    logger.log(
        level,
        "drift checked",
        extra={
            "model": report.model,
            "version": report.version,
            "verdict": report.verdict,
            "report_id": report.report_id,
            "rows": report.rows,
            "drifted": drifted[:20],
        },
    )


def _read_log(operations: Sequence[Operation]) -> Iterator[dict[str, Any]]:
    for operation in operations:
        if isinstance(operation, Append) and operation.table == LOG:
            for row in operation.data.select(["model", "version", "change", "detail"]).to_pylist():
                yield row | {"detail": json.loads(row["detail"])}


def _announce_training(changes: Sequence[dict[str, Any]]) -> None:
    """Tell of a training by the lines that a request adds to the model's log."""
    of = {change["change"]: change for change in changes}
    if (failed := of.get("training failed")) is not None:
        facts = failed["detail"]
        metrics.TRAININGS.labels(failed["model"], facts["state"]).inc()
        logger.warning("training failed", extra={"model": failed["model"], **facts})
    if (trained := of.get("trained")) is not None:
        moved = of["alias set"]["detail"]
        metrics.TRAININGS.labels(trained["model"], moved["alias"]).inc()
        logger.info(
            "model trained",
            extra={
                "model": trained["model"],
                "version": trained["version"],
                "becomes": moved["alias"],
                "reason": moved["reason"],
                "job_id": trained["detail"]["job_id"],
            },
        )
