"""What predictions turned out to be worth, and the way back from a champion that fails."""

import logging
from collections.abc import Mapping

import attrs

from engine.clock import read_clock_us
from engine.config import FeaturesFile, ModelSpec
from engine.config.model_rules import estimator_of
from engine.errors import FailedPreconditionError
from engine.features import HistoryReader
from engine.features.horizon import Horizon
from engine.learning.alias_moves import AliasMoves
from engine.learning.ports import LastCommit
from engine.models import CHAMPION, ModelRegistry, ModelVersion
from engine.models.labels import History, find_history
from engine.models.policy import decide_rollback, metric_of
from engine.models.quality import Quality, fetch_quality
from engine.store.queries import load_queries

logger = logging.getLogger(__name__)

_QUERIES = load_queries("engine.learning")
_TIMEOUT_S = 60.0


@attrs.frozen
class MeasuredVersion:
    """A version and what its predictions turned out to be worth."""

    version: ModelVersion
    quality: Quality


class LiveQuality:
    """Compares predictions with outcomes. Used from the Trio thread."""

    def __init__(
        self,
        declared: Mapping[str, ModelSpec],
        features: FeaturesFile,
        models: ModelRegistry,
        aliases: AliasMoves,
        reader: HistoryReader,
        last_commit: LastCommit,
        horizon: Horizon | None = None,
    ) -> None:
        self._declared = declared
        self._features = features
        self._models = models
        self._aliases = aliases
        self._reader = reader
        self._last_commit = last_commit
        self._horizon = horizon or Horizon()

    async def measure(
        self, model: str, version: int | None = None, since_us: int = 0
    ) -> MeasuredVersion:
        """Measure a version, by default the champion.

        Raises:
          NotFoundError: no such model or version.
          FailedPreconditionError: the model has no label in models.yaml.
          DeadlineExceededError, StoreError: as `fetch_quality`.
        """
        found = self._models.get(model, version)
        spec = self._declared.get(model)
        if spec is None or spec.label is None:
            raise FailedPreconditionError(
                f"the model {model!r} has no label in models.yaml, so nothing says what came"
            )
        commit_seq = self._last_commit.commit_seq
        history = await find_history(self._reader, commit_seq, read_clock_us())
        history = history or History(commit_seq, 0)
        quality = await fetch_quality(
            self._reader,
            model,
            found.version,
            spec.label,
            estimator_of(spec, self._features).task,
            # What came of earlier predictions may have been moved, and would look like nothing.
            attrs.evolve(history, begin_us=self._horizon.earliest_us((), 0)),
            since_us,
            timeout_s=_TIMEOUT_S,
        )
        return MeasuredVersion(found, quality)

    async def roll_back_if_worse(self, spec: ModelSpec) -> int | None:
        """Give a champion's place back to the one before if its predictions are past the bound.

        Those count that it has made since it is champion: whoever makes it champion again, knowing
        what it did before, has it judged anew.

        Returns: the version that took over; None if all stays as it is.
        Raises: as `measure`; FailedPreconditionError: the version before cannot answer any more;
          UnavailableError: the engine is shutting down.
        """
        found = self._models.find(spec.name).champion
        if spec.policy.roll_back_below is None or found is None:
            return None
        since_us = await self._find_since_us(spec.name, found.version)
        measured = await self.measure(spec.name, found.version, since_us)
        metric = metric_of(spec.policy, estimator_of(spec, self._features).task)
        reason = decide_rollback(
            spec.policy, metric, measured.quality.metrics, measured.quality.outcomes
        )
        if reason is None:
            return None
        champion = measured.version.version
        before = self._models.find(spec.name).champion_before
        if before is None:
            logger.warning(
                "no champion before to go back to", extra={"model": spec.name, "reason": reason}
            )
            return None
        await self._aliases.set_alias(
            spec.name, CHAMPION, before, expected=champion, reason=f"rolled back: {reason}"
        )
        return before

    async def _find_since_us(self, model: str, champion: int) -> int:
        [(since_us,)] = await self._reader.fetch_rows(
            _QUERIES["champion_since"],
            {"model": model, "version": champion},
            timeout_s=_TIMEOUT_S,
        )
        return since_us or 0
