"""Challengers that score, unseen, what their champions are given."""

from typing import Final

import trio

from engine import metrics
from engine.clock import Clock
from engine.errors import ResourceExhaustedError, TrellisError
from engine.models import CHALLENGER, CHAMPION, Model
from engine.serving.plans import Plan, Plans
from engine.serving.prediction_log import PredictionLog, Record
from engine.serving.rows import Score
from engine.serving.scoring import Scoring

_SHADOW_S: Final = 5.0


class Shadows:
    """Asks challengers when there is time for it. Used from the Trio thread."""

    def __init__(self, plans: Plans, scoring: Scoring, log: PredictionLog, clock: Clock) -> None:
        self._plans = plans
        self._scoring = scoring
        self._log = log
        self._clock = clock

    def ask(self, model: Model, plan: Plan, record: Record) -> None:
        """Have the challenger score what the champion was given, if there is time for it.

        Whatever is wrong with the challenger is counted, and nothing to the champion's caller.
        """
        number = model.aliases.get(CHALLENGER)
        if number is None or model.aliases.get(CHAMPION) != plan.version.version:
            return
        try:
            challenger = self._plans.get(model.find(number))
        except TrellisError:
            metrics.SHADOWS_SKIPPED.labels("failed").inc()
            return
        if challenger.version.features != plan.version.features:
            metrics.SHADOWS_SKIPPED.labels("other_features").inc()
        elif not self._scoring.has_room_for_more():
            metrics.SHADOWS_SKIPPED.labels("overload").inc()
        else:
            shadow = _Shadow(challenger, record, self._log, self._clock)
            try:
                self._scoring.ask(challenger.rows, [record.inputs], shadow)
            except TrellisError as error:
                shadow.fail(error)


class _Shadow:
    """Waits for a challenger's score, which nobody but the log is told."""

    __slots__ = ("_clock", "_gone_s", "_log", "_plan", "_record")

    def __init__(self, plan: Plan, record: Record, log: PredictionLog, clock: Clock) -> None:
        self._plan = plan
        self._record = record
        self._log = log
        self._clock = clock
        self._gone_s = trio.current_time() + _SHADOW_S

    @property
    def request_id(self) -> str:
        return self._record.request_id

    @property
    def trace_id(self) -> str:
        return ""  # the trace ends with the answer, for which nothing of this is needed

    @property
    def is_gone(self) -> bool:
        return trio.current_time() > self._gone_s

    def take(self, position: int, score: Score) -> None:
        """Keep the challenger's prediction under the id of the champion's."""
        version = self._plan.version
        metrics.PREDICTIONS.labels(version.model, version.version, "shadow").inc()
        old = self._record
        self._log.add(
            Record(
                old.prediction_id,
                self._clock(),
                old.model,
                self._plan.version.version,
                old.entity_key,
                old.as_of_us,
                old.feature_commit_seq,
                old.inputs,
                old.statuses,
                score,
                shadow=True,
                request_id=old.request_id,
            )
        )

    def fail(self, error: TrellisError) -> None:
        """Count it."""
        overload = isinstance(error, ResourceExhaustedError)
        metrics.SHADOWS_SKIPPED.labels("overload" if overload else "failed").inc()
