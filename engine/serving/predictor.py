"""Predictions: features of an entity, a version's score of them, and a record of both."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Protocol

import attrs
import trio

from engine import metrics
from engine.clock import Clock, read_clock_us
from engine.errors import TrellisError
from engine.features import FeatureRow
from engine.features.reads import FeatureReads
from engine.jobs.job_ids import JobIds
from engine.models import CHALLENGER, CHAMPION, Model, ModelRegistry, ModelVersion
from engine.serving.plans import Overrides, Plan, Plans, choose_version, letters_of
from engine.serving.prediction_log import PredictionLog, Record, is_sampled
from engine.serving.rows import Score, VersionRows
from engine.serving.scoring import Scoring
from engine.serving.shadows import Shadows

_NONE: Final[Overrides] = MappingProxyType({})
_SHADOW_S: Final = 5.0


class Policy(Protocol):
    """What of a declaration matters here."""

    @property
    def shadow(self) -> bool:
        """Whether the challenger is asked, too."""


class Declared(Protocol):
    """A model's declaration."""

    @property
    def log_share(self) -> float:
        """Which share of the predictions is kept."""

    @property
    def policy(self) -> Policy:
        """When versions take over."""


@attrs.frozen(eq=False)
class Prediction:
    """A prediction, and the features it rests on as they were read."""

    prediction_id: str
    version: ModelVersion
    row: FeatureRow
    overrides: Overrides
    score: Score


class Predictor:
    """Predicts. Used from the Trio thread."""

    def __init__(
        self,
        models: ModelRegistry,
        features: FeatureReads,
        plans: Plans,
        scoring: Scoring,
        log: PredictionLog,
        declared: Mapping[str, Declared],
        clock: Clock = read_clock_us,
    ) -> None:
        """Make it.

        Args:
          declared: by model; of others everything is kept, and none is shadowed.
        """
        self._models = models
        self._features = features
        self._plans = plans
        self._scoring = scoring
        self._log = log
        self._declared = declared
        self._clock = clock
        self._shadows = Shadows(plans, scoring, log, clock)
        self._ids = JobIds(clock)
        self._champions: dict[str, tuple[Model, Plan]] = {}

    async def predict(
        self,
        model: str,
        version: int | None,
        entity_key: int,
        overrides: Overrides = _NONE,
        request_id: str = "",
    ) -> Prediction:
        """Predict for one entity, as of now.

        Args:
          version: None for the champion.
          overrides: values to use instead of the stored ones; None: as if it were missing.
        Raises:
          NotFoundError: no such model or version.
          InvalidArgumentError: an override is no value of a feature.
          FailedPreconditionError: the version is not trained, or cannot be given its features.
          ResourceExhaustedError, UnavailableError, DataLossError, ScoringFailedError: as
            `Scoring.score`.
        Cancellation: a checkpoint; nothing is kept.
        """
        plan = self.plan(model, version)
        began_s = trio.current_time()
        try:
            if overrides:
                plan.check_overrides(overrides)
            row = await self._features.get(entity_key, plan.version.features)
            values = plan.values_of(row, overrides)
            [score] = await self._scoring.score(plan.rows, [values])
        except BaseException as error:
            _count_failed(plan, error, 1)
            raise
        plan.predicted.inc()
        metrics.PREDICTION_SECONDS.observe(trio.current_time() - began_s)
        return self._conclude(plan, row, values, overrides, score, request_id)

    async def predict_many(
        self,
        model: str,
        version: int | None,
        entity_keys: Sequence[int],
        request_id: str = "",
    ) -> list[Prediction]:
        """Predict for many entities, all by one version and as of one moment.

        Raises, cancellation: as `predict`.
        """
        plan = self.plan(model, version)
        try:
            rows = await self._features.get_many(entity_keys, plan.version.features)
            values = [plan.values_of(row, _NONE) for row in rows]
            scores = await self._scoring.score(plan.rows, values)
        except BaseException as error:
            _count_failed(plan, error, len(entity_keys))
            raise
        plan.predicted.inc(len(entity_keys))
        return [
            self._conclude(plan, row, given, _NONE, score, request_id)
            for row, given, score in zip(rows, values, scores, strict=True)
        ]

    async def score_rows(
        self, model: str, version: int | None, rows: Sequence[tuple[Any, ...]]
    ) -> tuple[ModelVersion, Sequence[Score]]:
        """Score rows that the caller has made; nothing is kept of them. Raises as `predict`."""
        plan = self.plan(model, version)
        try:
            scores = await self._scoring.score(plan.rows, rows)
        except BaseException as error:
            _count_failed(plan, error, len(rows))
            raise
        plan.predicted.inc(len(rows))
        return plan.version, scores

    def plan(self, model: str, version: int | None) -> Plan:
        """Return how a version predicts. Raises as `predict`."""
        found = self._models.find(model)
        if version:
            return self._plans.get(choose_version(found, version))
        # A model is replaced as a whole whenever anything about it changes.
        known = self._champions.get(model)
        if known is None or known[0] is not found:
            known = self._champions[model] = found, self._plans.get(choose_version(found, None))
        return known[1]

    def find_wanted(self) -> Iterable[VersionRows]:
        """Return the versions that are to be ready at any time: champions and challengers."""
        for model in self._models.list():
            for alias in (CHAMPION, CHALLENGER):
                version = model.aliases.get(alias)
                if version is None or model.find(version).trained is None:
                    continue
                try:
                    yield self._plans.get(model.find(version)).rows
                except TrellisError:
                    # Who asks for it is told why not.
                    continue

    def _conclude(
        self,
        plan: Plan,
        row: FeatureRow,
        values: tuple[Any, ...],
        overrides: Overrides,
        score: Score,
        request_id: str,
    ) -> Prediction:
        prediction_id = self._ids.make()
        version = plan.version
        declared = self._declared.get(version.model)
        if declared is None or is_sampled(prediction_id, declared.log_share):
            record = Record(
                prediction_id,
                self._clock(),
                version.model,
                version.version,
                row.entity_key,
                row.as_of_us,
                row.commit_seq,
                values,
                letters_of(row, overrides),
                score,
                shadow=False,
                request_id=request_id,
            )
            self._log.add(record)
            if declared is not None and declared.policy.shadow:
                self._shadows.ask(self._models.find(version.model), plan, record)
        return Prediction(prediction_id, version, row, overrides, score)


def _count_failed(plan: Plan, error: BaseException, rows: int) -> None:
    version = plan.version
    outcome = "failed" if isinstance(error, TrellisError) else "cancelled"
    metrics.PREDICTIONS.labels(version.model, version.version, outcome).inc(rows)
