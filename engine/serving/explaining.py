"""What a prediction was made of, from history, beside what the model was given."""

import json
import struct
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from engine.clock import to_datetime
from engine.errors import FailedPreconditionError, NotFoundError
from engine.features import FeatureRow, HistoryReader
from engine.features.definitions import EventFeature
from engine.features.values import Value
from engine.features.views import FeatureSet
from engine.jobs.job_ids import is_job_id, read_order_ms
from engine.models import ModelRegistry
from engine.serving.plans import OVERRIDDEN
from engine.serving.prediction_log import PredictionLog
from engine.serving.predictor import FeatureReads
from engine.serving.rows import Score
from engine.store.queries import load_queries

_QUERIES: Final = load_queries("engine.serving")
_TIMEOUT_S: Final = 30.0
_NEVER_US: Final = 1 << 62


@attrs.frozen
class EventBehind:
    """An event that features may rest on; its time in microseconds."""

    action: str
    event_time_us: int
    value: float | None
    commit_seq: int
    features: tuple[str, ...]
    """Those that can rest on it, in the model's order."""


@attrs.frozen
class _Reach:
    """Events that a feature can rest on."""

    feature: str
    actions: frozenset[str] | None
    from_us: int


class PredictionNotKeptError(NotFoundError):
    """There is no record of a prediction, if ever there was one."""

    def __init__(self, prediction_id: str) -> None:
        super().__init__("prediction", prediction_id)
        self.args = (f"{self}; it was never made, or not kept: see log_share in models.yaml",)


class PredictionMovedError(NotFoundError):
    """A prediction lies before those that the data file holds."""

    def __init__(self, prediction_id: str, until_us: int) -> None:
        super().__init__("prediction", prediction_id)
        until = f"{to_datetime(until_us).isoformat()}Z"
        moved = f"predictions before {until} have been moved to the blob store"
        self.args = (f"{self}; {moved}: `main.py history` reads it if it was kept",)


@attrs.frozen
class Explanation:
    """A prediction as it was kept, and its features as history has them."""

    prediction_id: str
    model: str
    version: int
    predicted_at_us: int
    score: Score
    given: tuple[Value | None, ...]
    statuses: str
    rebuilt: FeatureRow
    equal: tuple[bool, ...]
    """By feature; those that were overridden are not compared, and False."""
    events: tuple[EventBehind, ...]

    @property
    def reproduced(self) -> bool:
        """Whether all are equal that were not overridden."""
        return all(
            equal or letter == OVERRIDDEN
            for equal, letter in zip(self.equal, self.statuses, strict=True)
        )


class Explainer:
    """Explains predictions. Used from the Trio thread."""

    def __init__(
        self,
        models: ModelRegistry,
        features: FeatureReads,
        feature_set: FeatureSet,
        reader: HistoryReader,
        log: PredictionLog,
    ) -> None:
        self._models = models
        self._features = features
        self._feature_set = feature_set
        self._reader = reader
        self._log = log

    async def explain(self, prediction_id: str) -> Explanation:
        """Rebuild a prediction's features at its commit and its moment.

        Raises:
          PredictionNotKeptError: no such prediction is kept.
          PredictionMovedError: it is from a time of which predictions have been moved.
          FailedPreconditionError: a feature of it is not defined any more, or rests on events that
            have been moved.
          DeadlineExceededError, StoreError: history was asked and did not answer.
        Cancellation: a checkpoint; queries are interrupted.
        """
        if not is_job_id(prediction_id):
            raise PredictionNotKeptError(prediction_id[:80])
        await self._log.flush()
        rows = await self._reader.fetch_rows(
            _QUERIES["prediction"], {"prediction_id": prediction_id}, timeout_s=_TIMEOUT_S
        )
        if not rows:
            raise await self._find_reason(prediction_id)
        [(model, number, at_us, entity_key, as_of_us, commit_seq, inputs, statuses, *kept)] = rows
        names = self._models.find(model).find(number).features
        try:
            rebuilt = await self._features.get(entity_key, names, as_of_us, commit_seq)
        except NotFoundError as error:
            raise FailedPreconditionError(
                f"version {number} of {model!r} cannot be rebuilt: {error}; define it again in "
                "features.yaml"
            ) from error
        given = tuple(json.loads(inputs))
        return Explanation(
            prediction_id,
            model,
            number,
            at_us,
            _read_score(*kept),
            given,
            statuses,
            rebuilt,
            tuple(
                letter != OVERRIDDEN and is_same(was, one.value)
                for was, one, letter in zip(given, rebuilt.values, statuses, strict=True)
            ),
            await self._fetch_events(entity_key, names, as_of_us, commit_seq),
        )

    async def _find_reason(self, prediction_id: str) -> NotFoundError:
        """Return why a prediction is not there."""
        [(until_us,)] = await self._reader.fetch_rows(
            _QUERIES["predictions_moved"], timeout_s=_TIMEOUT_S
        )
        if until_us is not None and read_order_ms(prediction_id) * 1_000 < until_us:
            return PredictionMovedError(prediction_id, until_us)
        return PredictionNotKeptError(prediction_id)

    async def _fetch_events(
        self, entity_key: int, names: Sequence[str], as_of_us: int, commit_seq: int
    ) -> tuple[EventBehind, ...]:
        reaches = self._find_reaches(names, as_of_us)
        if not reaches:
            return ()
        from_us = _oldest_by_action(reaches)
        any_from_us = from_us.pop(None, _NEVER_US)
        rows = await self._reader.fetch_rows(
            _QUERIES["events_behind"],
            {
                "entity_key": entity_key,
                "commit_seq": commit_seq,
                "as_of_us": as_of_us,
                "actions": list(from_us),
                "from_us": list(from_us.values()),
                "any_from_us": any_from_us,
            },
            timeout_s=_TIMEOUT_S,
        )
        return tuple(
            EventBehind(action, time_us, value, seq, _reached(reaches, action, time_us))
            for action, time_us, value, seq in rows
        )

    def _find_reaches(self, names: Sequence[str], as_of_us: int) -> list[_Reach]:
        """Return which events features can rest on, also through features they are made of."""
        return [
            _Reach(name, base.actions, base.window_start_us(as_of_us) or 0)
            for name in names
            for base in self._feature_set.select((name,)).base
            if isinstance(base, EventFeature)
        ]


def _oldest_by_action(reaches: Iterable[_Reach]) -> dict[str | None, int]:
    """Return since when events count, by their action; None: those of any."""
    from_us: dict[str | None, int] = {}
    for reach in reaches:
        for action in (None,) if reach.actions is None else reach.actions:
            from_us[action] = min(reach.from_us, from_us.get(action, reach.from_us))
    return from_us


def _reached(reaches: Iterable[_Reach], action: str, time_us: int) -> tuple[str, ...]:
    found = (
        reach.feature
        for reach in reaches
        if time_us >= reach.from_us and (reach.actions is None or action in reach.actions)
    )
    return tuple(dict.fromkeys(found))


def is_same(one: Value | None, other: Value | None) -> bool:
    """Return whether two values are the same to the last bit."""
    if isinstance(one, float) and isinstance(other, float):
        return struct.pack("<d", one) == struct.pack("<d", other)
    return type(one) is type(other) and one == other


def _read_score(prediction: str, score: float, probabilities: str | None) -> Score:
    if probabilities is None:
        return Score("", score, (), ())
    named = json.loads(probabilities)
    return Score(prediction, score, tuple(named), tuple(named.values()))
