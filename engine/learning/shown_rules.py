"""The rules of the declared models as gauges, so that alerts compare with what is configured."""

from collections.abc import Mapping

from engine import metrics
from engine.config import ModelSpec, ThresholdsConfig


def show_rules(declared: Mapping[str, ModelSpec], defaults: ThresholdsConfig) -> None:
    """Set the gauges of what the models that learn are held to.

    Args:
      declared: the models of `models.yaml`, by name; those without a label are left out.
      defaults: the thresholds of a model that has none of its own.
    """
    for name, spec in declared.items():
        if spec.label is None:
            continue
        drift = spec.drift
        thresholds = {
            "psi": defaults.psi if drift.psi is None else drift.psi,
            "ks": defaults.ks_statistic if drift.ks_statistic is None else drift.ks_statistic,
        }
        for measure, threshold in thresholds.items():
            metrics.DRIFT_THRESHOLD.labels(name, measure).set(threshold)
        if spec.policy.every is not None:
            metrics.MODEL_TRAIN_EVERY_SECONDS.labels(name).set(spec.policy.every)
