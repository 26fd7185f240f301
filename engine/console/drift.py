"""Looks for drift as the Console shows them, times in microseconds, UTC. Pure."""

import msgspec

from engine.learning.drift_records import DriftReport


class DriftScore(msgspec.Struct, frozen=True):
    """How far a feature was from the training set at one look."""

    feature: str
    score: float | None
    """Stability index (PSI)."""
    drifted: bool


class DriftLook(msgspec.Struct, frozen=True):
    """One look for drift."""

    report_id: str
    version: int
    checked_at_us: int
    cause: str
    rows: int
    verdict: str
    retrain_job_id: str | None
    not_retrained_because: str | None
    scores: tuple[DriftScore, ...]


class DriftMap(msgspec.Struct, frozen=True):
    """The looks at a model, the oldest first, and the score from which a feature has drifted."""

    model: str
    threshold: float
    looks: tuple[DriftLook, ...]


def show_look(report: DriftReport) -> DriftLook:
    """Return a look; its scores have the digits that a page can show."""
    return DriftLook(
        report_id=report.report_id,
        version=report.version,
        checked_at_us=report.checked_at_us,
        cause=report.cause,
        rows=report.rows,
        verdict=report.verdict,
        retrain_job_id=report.retrain_job_id,
        not_retrained_because=report.not_retrained_because,
        scores=tuple(
            DriftScore(
                feature.feature,
                None if feature.psi is None else float(f"{feature.psi:.4g}"),
                feature.drifted,
            )
            for feature in report.features
        ),
    )
