"""What a prediction was made of, from history, beside what the model was given."""

import enum
import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs

from engine.clock import to_datetime
from engine.errors import NotFoundError
from engine.features import FeatureStore, FeatureValue, HistoryReader
from engine.features.definitions import EventFeature
from engine.features.values import Value
from engine.jobs.job_ids import is_job_id, read_order_ms
from engine.models import ModelRegistry
from engine.serving.plans import OVERRIDDEN
from engine.serving.prediction_log import PredictionLog
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


class Comparison(enum.Enum):
    """What came of comparing a value that was given with the one of history."""

    EQUAL = enum.auto()
    DIFFERENT = enum.auto()
    OVERRIDDEN = enum.auto()
    """Not compared: the caller had set it."""
    EVENTS_MOVED = enum.auto()
    """Not compared: events that it rests on may have moved."""
    UNDEFINED = enum.auto()
    """Not compared: the feature is not defined any more."""


@attrs.frozen
class ExplainedFeature:
    """A value as it was kept, and as history has it; `rebuilt` is None if that cannot be told."""

    name: str
    given: Value | None
    status: str
    """A letter, as in `predictions.statuses`."""
    rebuilt: FeatureValue | None
    comparison: Comparison


@attrs.frozen
class Explanation:
    """A prediction as it was kept, and its features as history has them."""

    prediction_id: str
    model: str
    version: int
    predicted_at_us: int
    entity_key: int
    commit_seq: int
    score: Score
    features: tuple[ExplainedFeature, ...]
    """In the model's order."""
    events: tuple[EventBehind, ...]
    moved_before_us: int | None
    """Features can rest on events before this time, which may have moved; None: on none such."""

    @property
    def reproduced(self) -> bool:
        """Whether all are equal that were not overridden."""
        return all(
            one.comparison in (Comparison.EQUAL, Comparison.OVERRIDDEN) for one in self.features
        )


class Explainer:
    """Explains predictions. Used from the Trio thread."""

    def __init__(
        self,
        models: ModelRegistry,
        features: FeatureStore,
        reader: HistoryReader,
        log: PredictionLog,
    ) -> None:
        self._models = models
        self._features = features
        self._reader = reader
        self._log = log

    async def explain(self, prediction_id: str) -> Explanation:
        """Rebuild a prediction's features at its commit and its moment.

        Raises:
          PredictionNotKeptError: no such prediction is kept.
          PredictionMovedError: it is from a time of which predictions have been moved.
          DeadlineExceededError, ResourceExhaustedError, StoreError: history was asked and did not
            answer.
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
        defined = tuple(name for name in names if name in self._features.feature_set.features)
        rebuilt: dict[str, FeatureValue | None] = {}
        if defined:
            values = await self._features.rebuild(entity_key, defined, as_of_us, commit_seq)
            rebuilt = dict(zip(defined, values, strict=True))
        reaches = self._find_reaches(defined, as_of_us)
        events = await self._fetch_events(entity_key, reaches, as_of_us, commit_seq)
        features = tuple(
            ExplainedFeature(
                name, given, letter, rebuilt.get(name), _compare(name, given, letter, rebuilt)
            )
            for name, given, letter in zip(names, json.loads(inputs), statuses, strict=True)
        )
        return Explanation(
            prediction_id,
            model,
            number,
            at_us,
            entity_key,
            commit_seq,
            _read_score(*kept),
            features,
            events,
            # Not before the query: what is moved while it runs may be missing in it.
            self._find_moved(reaches, features),
        )

    def _find_moved(
        self, reaches: Iterable[_Reach], features: Iterable[ExplainedFeature]
    ) -> int | None:
        """Return before which time events may have moved that features can rest on."""
        until_us = self._features.horizon.complete_since_us
        if until_us is not None and (
            any(reach.from_us < until_us for reach in reaches)
            or any(one.comparison is Comparison.EVENTS_MOVED for one in features)
        ):
            return until_us
        return None

    async def _find_reason(self, prediction_id: str) -> NotFoundError:
        """Return why a prediction is not there."""
        [(until_us,)] = await self._reader.fetch_rows(
            _QUERIES["predictions_moved"], timeout_s=_TIMEOUT_S
        )
        if until_us is not None and read_order_ms(prediction_id) * 1_000 < until_us:
            return PredictionMovedError(prediction_id, until_us)
        return PredictionNotKeptError(prediction_id)

    async def _fetch_events(
        self, entity_key: int, reaches: Sequence[_Reach], as_of_us: int, commit_seq: int
    ) -> tuple[EventBehind, ...]:
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
            for base in self._features.feature_set.select((name,)).base
            if isinstance(base, EventFeature)
        ]


def _compare(
    name: str, given: Value | None, letter: str, rebuilt: Mapping[str, FeatureValue | None]
) -> Comparison:
    if letter == OVERRIDDEN:
        return Comparison.OVERRIDDEN
    if name not in rebuilt:
        return Comparison.UNDEFINED
    value = rebuilt[name]
    if value is None:
        return Comparison.EVENTS_MOVED
    return Comparison.EQUAL if is_same(given, value.value) else Comparison.DIFFERENT


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
