"""The rules of declared models, as gauges."""

import attrs
from prometheus_client import REGISTRY

from engine.config import ModelSpec, ThresholdsConfig
from engine.config.learning import DriftSpec, LabelSpec, PolicySpec
from engine.learning.shown_rules import show_rules

LEARNER = ModelSpec("learner", entity="user", features=("clicks",), label=LabelSpec(within=60))


def threshold(model: str, measure: str) -> float | None:
    labels = {"model": model, "measure": measure}
    return REGISTRY.get_sample_value("trellis_drift_threshold", labels)


def train_every_s(model: str) -> float | None:
    return REGISTRY.get_sample_value("trellis_model_train_every_seconds", {"model": model})


def test_threshold_of_a_model_is_its_own_or_the_default() -> None:
    strict = attrs.evolve(LEARNER, name="strict", drift=DriftSpec(psi=0.01))
    show_rules({"learner": LEARNER, "strict": strict}, ThresholdsConfig(psi=0.3, ks_statistic=0.2))
    assert (threshold("learner", "psi"), threshold("learner", "ks")) == (0.3, 0.2)
    assert (threshold("strict", "psi"), threshold("strict", "ks")) == (0.01, 0.2)


def test_only_a_model_that_is_trained_by_the_clock_has_an_interval() -> None:
    hourly = attrs.evolve(LEARNER, name="hourly", policy=PolicySpec(every=3600))
    show_rules({"learner": LEARNER, "hourly": hourly}, ThresholdsConfig())
    assert train_every_s("hourly") == 3600
    assert train_every_s("learner") is None


def test_model_that_does_not_learn_has_no_series() -> None:
    show_rules({"list": attrs.evolve(LEARNER, name="list", label=None)}, ThresholdsConfig())
    assert threshold("list", "psi") is None
