"""What the learning loop does by itself: it trains, looks for drift, and rolls back."""

import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

import attrs
import pyarrow as pa
import trio

from engine.clock import read_clock_us
from engine.config import ModelSpec
from engine.errors import TrellisError
from engine.features import HistoryReader
from engine.features.horizon import Horizon
from engine.features.views import FeatureSet
from engine.learning.drift_checks import DriftChecks, WindowTooEarlyError
from engine.learning.enough_rows import count_rows_to_fit
from engine.learning.live_quality import LiveQuality
from engine.learning.ports import LastCommit
from engine.learning.redefinitions import is_outdated
from engine.learning.trainings import Trainings
from engine.models import ModelRegistry
from engine.models.labels import fetch_observations, find_history
from engine.models.policy import Cause, is_due

logger = logging.getLogger(__name__)

_TICK_S = 1.0
_ENOUGH_PAUSE_S = 5.0
"""Between looks whether there is enough to learn from."""
_ENOUGH_TIMES = 10
"""So many times the rows wanted are looked at."""
_FIRST_PAUSE_S = 10.0
"""After a training that did not give a model without one a version that can answer; it doubles."""
_QUALITY_PAUSE_S = 30.0
"""Between two measurements of what predictions turned out to be worth."""
_FAILED_PAUSE_S = 30.0
"""Before what has failed is tried again."""
_TIMEOUT_S = 60.0
_SECOND_US = 1_000_000

_Step = Callable[[ModelSpec], Awaitable[None]]


@attrs.define
class _FirstTraining:
    """How a model without any gets a version that can answer: tried at a pace that gets calmer."""

    next_try_s: float = 0.0
    pause_s: float = _FIRST_PAUSE_S

    def wait_longer(self, longest_s: float) -> None:
        self.next_try_s = trio.current_time() + self.pause_s
        self.pause_s = min(2 * self.pause_s, max(_FIRST_PAUSE_S, longest_s))


class Scheduler:
    """Visits the models that can be trained, once a second. Used from the Trio thread."""

    def __init__(
        self,
        declared: Mapping[str, ModelSpec],
        models: ModelRegistry,
        trainings: Trainings,
        checks: DriftChecks,
        reader: HistoryReader,
        last_commit: LastCommit,
        quality: LiveQuality,
        features: FeatureSet,
        horizon: Horizon | None = None,
    ) -> None:
        self._specs = tuple(spec for spec in declared.values() if spec.label is not None)
        self._models = models
        self._trainings = trainings
        self._checks = checks
        self._reader = reader
        self._horizon = horizon or Horizon()
        self._last_commit = last_commit
        self._quality = quality
        self._features = features
        self._measured_s: dict[str, float] = {}
        self._resume_s: dict[tuple[str, str], float] = {}
        self._first = {spec.name: _FirstTraining() for spec in self._specs}

    async def run(self) -> None:
        """Start what is due, until cancelled; what cannot be started is logged and tried later."""
        while True:
            for spec in self._specs:
                for step in self._steps(spec):
                    await self._take(step, spec)
            await trio.sleep(_TICK_S)

    def _steps(self, spec: ModelSpec) -> Sequence[_Step]:
        model = self._models.find(spec.name)
        if model.champion is None:
            return (self._train_first,)
        if is_outdated(model, self._features):
            return (self._train_anew,)
        self._first[spec.name] = _FirstTraining()
        return (self._look, self._train, self._roll_back)

    async def _take(self, step: _Step, spec: ModelSpec) -> None:
        """Take a step; one that fails rests, and keeps the others from nothing."""
        which = (spec.name, step.__name__)
        if trio.current_time() < self._resume_s.get(which, 0.0):
            return
        try:
            await step(spec)
        except TrellisError as error:
            self._resume_s[which] = trio.current_time() + _FAILED_PAUSE_S
            logger.warning(
                "learning loop cannot go on", extra={"model": spec.name, "detail": str(error)}
            )

    async def _look(self, spec: ModelSpec) -> None:
        if not is_due(spec.drift.every, self._checks.age_s(spec.name)):
            return
        with contextlib.suppress(WindowTooEarlyError):  # the next visit looks again
            await self._checks.start(spec.name, Cause.SCHEDULE)

    async def _train(self, spec: ModelSpec) -> None:
        if is_due(spec.policy.every, self._trainings.age_s(spec.name)):
            await self._trainings.start(spec.name, Cause.SCHEDULE)

    async def _roll_back(self, spec: ModelSpec) -> None:
        if trio.current_time() >= self._measured_s.get(spec.name, 0.0) + _QUALITY_PAUSE_S:
            self._measured_s[spec.name] = trio.current_time()
            await self._quality.roll_back_if_worse(spec)

    async def _train_first(self, spec: ModelSpec) -> None:
        await self._try(spec, Cause.FIRST)

    async def _train_anew(self, spec: ModelSpec) -> None:
        await self._try(spec, Cause.REDEFINED)

    async def _try(self, spec: ModelSpec, cause: Cause) -> None:
        first = self._first[spec.name]
        if trio.current_time() < first.next_try_s:
            return
        if not await self._has_enough(spec):
            first.next_try_s = trio.current_time() + _ENOUGH_PAUSE_S
            return
        first.wait_longer(spec.policy.cool_down)
        await self._trainings.start(spec.name, cause)

    async def _has_enough(self, spec: ModelSpec) -> bool:
        """Return whether a training set would have rows enough, so that none is started in vain."""
        label = spec.label
        assert label is not None
        if label.dataset is not None:
            return True
        commit_seq = self._last_commit.commit_seq
        history = await find_history(self._reader, commit_seq, read_clock_us())
        if history is None:
            return False
        # More rows than that say nothing more.
        most = min(spec.observations.most_rows, _ENOUGH_TIMES * spec.split.least_rows)
        found = await fetch_observations(
            self._reader,
            attrs.evolve(spec.observations, most_rows=most),
            attrs.evolve(
                history,
                begin_us=self._horizon.earliest_us(
                    self._features.select(spec.features).base,
                    spec.observations.active * _SECOND_US,
                ),
                end_us=history.end_us - label.within * _SECOND_US,
            ),
            seed=spec.split.seed,
            timeout_s=_TIMEOUT_S,
        )
        times_us = found["event_time"].cast(pa.int64()).to_numpy()
        return count_rows_to_fit(times_us, spec.split, label.within) >= spec.split.least_rows
