"""Who scores what: rows into batches, batches to workers, predictions back to their callers. Pure.

A worker has one batch at a time. While it scores, rows gather for the next one: under load batches
grow by themselves, and without it nobody waits for others.
"""

import itertools
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from engine import metrics
from engine.request_context import name_callers
from engine.serving.failures import (
    CORRUPT,
    REFUSED_CODES,
    VERSION_CODES,
    MakeError,
    error_of,
    lost_too_often,
    no_number,
    no_worker_in_time,
)
from engine.serving.queues import RowQueues
from engine.serving.rows import Row, Score, VersionKey, VersionRows
from engine.serving.scorers import Batch, Scorer, ScorerState
from engine.serving.settings import ServingSettings
from engine.serving.versions import VersionNotes

logger = logging.getLogger(__name__)


class ScoringDesk:
    """The state of all scoring. It is told what time it is, in seconds of one monotonic clock."""

    def __init__(self, settings: ServingSettings) -> None:
        self._settings = settings
        self._queues = RowQueues(settings.queue_rows)
        self._scorers: dict[Scorer, ScorerState] = {}
        self._versions = VersionNotes(settings.forget_after_s)
        self._numbers = itertools.count(1)

    @property
    def scorers(self) -> tuple[Scorer, ...]:
        """The workers that are known."""
        return tuple(self._scorers)

    @property
    def waiting_rows(self) -> int:
        """How many rows wait."""
        return self._queues.rows

    def want(self, versions: Mapping[VersionKey, VersionRows]) -> bool:
        """Say which versions every worker is to have loaded; return whether any is new."""
        return self._versions.want(versions)

    def is_loaded(self, key: VersionKey) -> bool:
        """Return whether a worker has a version loaded."""
        return any(key in one.loaded for one in self._scorers.values())

    def is_loaded_by_all(self, key: VersionKey) -> bool:
        """Return whether every worker has a version loaded, and there is one."""
        return bool(self._scorers) and all(key in one.loaded for one in self._scorers.values())

    def keep(self, key: VersionKey, now_s: float) -> None:
        """Have a version stay loaded for as long as one that was asked just now."""
        self._versions.note_use(key, now_s)

    def check(self, key: VersionKey, now_s: float) -> None:
        """Raise TrellisError if no worker can score with a version, as was found a moment ago."""
        self._versions.check(key, now_s)

    def add(self, of: VersionRows, rows: Sequence[Row], now_s: float) -> None:
        """Queue rows of one version.

        Raises:
          ResourceExhaustedError: too many wait already.
          TrellisError: as `check`.
        """
        self._versions.check(of.key, now_s)
        self._queues.add(of, rows, now_s)
        self._versions.note_use(of.key, now_s)

    def next_batch(self, scorer: Scorer, now_s: float) -> Batch | None:
        """Hand a worker what to do, None if there is nothing."""
        scoring = self._scorers.setdefault(scorer, ScorerState())
        if scoring.batch is not None:
            # It has not heard of it, or it would have said what came of it.
            self._take_back(scoring.batch, scoring, "unheard", charged=False)
        batch = self._load(scorer, scoring, now_s) or self._score(scorer, scoring, now_s)
        scoring.batch = batch
        if batch is not None:
            for row in batch.rows:
                row.out += 1
                row.handed_s = now_s
        return batch

    def deliver(
        self, scorer: Scorer, number: int, scores: Callable[[int], Sequence[Score]], now_s: float
    ) -> None:
        """Take the predictions of a batch.

        What is not, or no longer, the worker's batch is passed over.

        Args:
          scores: returns the predictions of so many rows.
        Raises:
          TrellisError: of `scores`; the batch is still the worker's.
        """
        scoring, batch = self._batch_of(scorer, number)
        if batch is None:
            metrics.SCORING_LATE_BATCHES.inc()
            return
        found = scores(len(batch.rows)) if batch.rows else ()
        scoring.batch = None
        self._versions.note_success(batch.of.key)
        metrics.SCORING_BATCH_SECONDS.observe(now_s - batch.began_s)
        for row, score in zip(batch.rows, found, strict=True):
            row.out -= 1
            if not math.isfinite(score.score):
                _fail(row, partial(no_number, batch.of.key))
            elif not row.is_settled:
                row.done = True
                row.asker.take(row.position, score)

    def refuse(self, scorer: Scorer, number: int, code: str, message: str, now_s: float) -> None:
        """Take note that a worker could not score a batch."""
        scoring, batch = self._batch_of(scorer, number)
        if batch is None:
            return
        key = batch.of.key
        facts = {"model": key[0], "version": key[1], "code": code, "detail": message}
        of_callers = name_callers(*batch.find_callers())
        logger.warning("not scored", extra={"worker_id": scorer.worker_id, **facts, **of_callers})
        if code in REFUSED_CODES and code != CORRUPT:  # which has been counted where it was read
            metrics.ARTIFACTS_REFUSED.labels(code).inc()
        make_error = partial(error_of, key, code, message)
        if code not in VERSION_CODES:
            self._take_back(batch, scoring, "error", charged=True, otherwise=make_error)
            return
        until_s = now_s + self._settings.refused_s
        scoring.refused[key] = until_s
        scoring.loaded -= {key}
        self._take_back(batch, scoring, "version", charged=False)
        if not self.is_loaded(key):
            self._versions.note_failure(key, make_error, until_s)
            for row in self._queues.take_all(key):
                _fail(row, make_error)

    def lose(self, scorer: Scorer) -> None:
        """Forget a worker; what it had is for others."""
        scoring = self._scorers.pop(scorer, None)
        if scoring is not None and scoring.batch is not None:
            self._take_back(scoring.batch, scoring, "lost", charged=True)

    def note_loaded(self, scorer: Scorer, loaded: frozenset[VersionKey]) -> bool:
        """Take note of what a worker has loaded; return whether that is more than before."""
        scoring = self._scorers.setdefault(scorer, ScorerState())
        is_more = not loaded <= scoring.loaded
        scoring.loaded = loaded
        return is_more

    def find_forgettable(self, scorer: Scorer, now_s: float) -> list[VersionKey]:
        """Return what a worker has loaded and nobody has asked for lately."""
        return [
            key
            for key in self._scorers[scorer].loaded
            if not self._versions.is_needed(key, now_s) and not self._queues.waits(key)
        ]

    def next_hedge_s(self) -> float | None:
        """Return when the oldest batch under way may be given to another worker, too."""
        began_s = [
            one.batch.began_s
            for one in self._scorers.values()
            if one.batch is not None and self._open_rows(one.batch)
        ]
        return min(began_s) + self._settings.hedge_after_s if began_s else None

    def expire(self, now_s: float) -> None:
        """Give up rows that have waited too long; their callers have set no earlier deadline.

        Here, not by a deadline of each caller: that costs a tenth of what a prediction does.
        """
        began_s = now_s - self._settings.timeout_s
        late = self._queues.take_older(began_s)
        under_way = [one.batch for one in self._scorers.values() if one.batch is not None]
        late += [row for batch in under_way for row in batch.rows if row.queued_s < began_s]
        for row in late:
            _fail(row, partial(no_worker_in_time, self._settings.timeout_s, len(self._scorers)))

    def tidy(self, now_s: float) -> None:
        """Forget what is not needed any more."""
        self._queues.drop_empty(self._versions.wanted)
        self._versions.tidy(now_s)

    def _load(self, scorer: Scorer, scoring: ScorerState, now_s: float) -> Batch | None:
        """Have a worker load what every worker is to have, one worker at a time."""
        for key, of in self._versions.wanted.items():
            if key in scoring.loaded or now_s < scoring.refused.get(key, 0.0):
                continue
            others = [one.batch for one in self._scorers.values() if one is not scoring]
            if any(batch is not None and batch.of.key == key for batch in others) and (
                not self.is_loaded(key)
            ):
                # Another one is about it; this one meanwhile does what there is to do.
                continue
            if self._queues.waits(key):
                # It will load it with them.
                continue
            return Batch(next(self._numbers), of, (), scorer, now_s)
        return None

    def _score(self, scorer: Scorer, scoring: ScorerState, now_s: float) -> Batch | None:
        def allows(key: VersionKey) -> bool:
            return now_s >= scoring.refused.get(key, 0.0)

        taken = self._queues.take(allows, self._settings.batch_rows)
        if taken is None:
            return self._hedge(scorer, allows, now_s)
        of, rows = taken
        metrics.SCORING_BATCH_ROWS.observe(len(rows))
        return Batch(next(self._numbers), of, tuple(rows), scorer, now_s)

    def _hedge(
        self, scorer: Scorer, allows: Callable[[VersionKey], bool], now_s: float
    ) -> Batch | None:
        """Hand out once more what another worker has been at for suspiciously long."""
        for one in self._scorers.values():
            batch = one.batch
            if batch is None or batch.scorer == scorer or not allows(batch.of.key):
                continue
            if now_s - batch.began_s < self._settings.hedge_after_s:
                continue
            rows = self._open_rows(batch)
            if rows:
                metrics.SCORING_RETRIED_ROWS.labels("slow").inc(len(rows))
                return Batch(next(self._numbers), batch.of, rows, scorer, now_s)
        return None

    def _open_rows(self, batch: Batch) -> tuple[Row, ...]:
        """Return rows of a batch that are wanted, and that no other worker is about."""
        return tuple(row for row in batch.rows if row.out == 1 and not row.is_settled)

    def _batch_of(self, scorer: Scorer, number: int) -> tuple[ScorerState, Batch | None]:
        scoring = self._scorers.setdefault(scorer, ScorerState())
        batch = scoring.batch
        return scoring, batch if batch is not None and batch.number == number else None

    def _take_back(
        self,
        batch: Batch,
        scoring: ScorerState,
        cause: str,
        *,
        charged: bool,
        otherwise: MakeError | None = None,
    ) -> None:
        """Queue the rows of a batch again, those that have had enough attempts excepted."""
        scoring.batch = None
        again: list[Row] = []
        for row in batch.rows:
            row.out -= 1
            if row.is_settled or row.out:
                continue
            row.attempts += charged
            if otherwise is not None and len(batch.rows) == 1:
                _fail(row, otherwise)
            elif row.attempts >= self._settings.most_attempts:
                _fail(row, otherwise or partial(lost_too_often, batch.of.key, row.attempts))
            else:
                if otherwise is not None:
                    # Alone, to find out which of them it is.
                    row.attempts = max(row.attempts, 2)
                again.append(row)
        if again:
            metrics.SCORING_RETRIED_ROWS.labels(cause).inc(len(again))
            self._queues.put_back(batch.of, again)


def _fail(row: Row, make_error: MakeError) -> None:
    if not row.is_settled:
        row.done = True
        row.asker.fail(make_error())
