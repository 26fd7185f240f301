"""Callers and workers meet: rows are handed to whoever scores, and scores to whoever waits."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import attrs
import trio

from engine import metrics, tracing
from engine.serving.desk import ScoringDesk
from engine.serving.failures import no_worker_in_time
from engine.serving.rows import Asker, Request, Row, Score, VersionKey, VersionRows
from engine.serving.scorers import Batch, Scorer
from engine.serving.scoring_spans import told_scoring
from engine.serving.settings import ServingSettings
from engine.serving.wire import BadPredictionsError, decode_scores

logger = logging.getLogger(__name__)

_IDLE_LOOK_S = 0.2
"""While no batch is under way."""
_TIDY_S = 10.0


class Leases(Protocol):
    """Knows which workers are still there."""

    def holds_job(self, worker_id: str, job_id: str, token: str) -> bool:
        """Return whether a worker still holds a job."""

    def is_relieved(self, worker_id: str) -> bool:
        """Return whether others are to do what a worker does: it is replaced, or drained."""


@attrs.frozen
class Report:
    """What a worker says when it asks for a batch.

    `number` 0: it has had none. `error_code` empty: `predictions` are those of the batch.
    """

    number: int = 0
    predictions: bytes = b""
    error_code: str = ""
    error: str = ""
    loaded: frozenset[VersionKey] = frozenset()


@attrs.frozen
class Reply:
    """What a worker is told: a batch or none, what to unload, whether to hand its job back."""

    batch: Batch | None = None
    forget: Sequence[VersionKey] = ()
    leave: bool = False


class Scoring:
    """Hands rows to workers. Used from the Trio thread; somebody runs `run`."""

    def __init__(self, settings: ServingSettings) -> None:
        """Start without workers."""
        self._settings = settings
        self._desk = ScoringDesk(settings)
        self._idle: deque[trio.Event] = deque()
        self._latest_call: dict[Scorer, object] = {}
        self._always: dict[VersionKey, VersionRows] = {}
        self._loading: dict[VersionKey, VersionRows] = {}
        self._loaded = trio.Event()
        self._leases: Leases | None = None
        self._closed = False

    @property
    def workers(self) -> int:
        """How many score."""
        return len(self._desk.scorers)

    async def score(self, of: VersionRows, rows: Sequence[tuple[Any, ...]]) -> Sequence[Score]:
        """Return the scores of rows, in order.

        Args:
          rows: values in the order of the version's features.
        Raises:
          ResourceExhaustedError: too many rows wait already.
          UnavailableError: no worker has scored them within `timeout_s`, or the artifact cannot be
            had.
          DataLossError: the artifact is not what was registered.
          FailedPreconditionError: the version takes other features.
          ScoringFailedError: it fails on a row.
        Cancellation: a checkpoint; rows that are not under way are dropped.
        """
        request = Request(len(rows))
        queued = self.ask(of, rows, request)
        if not tracing.is_on():
            return await request.wait()
        with told_scoring(of.key, queued):
            return await request.wait()

    def ask(self, of: VersionRows, rows: Sequence[tuple[Any, ...]], asker: Asker) -> Sequence[Row]:
        """Have rows scored for an asker, who is told later. Raises as `ScoringDesk.add`."""
        now_s = trio.current_time()
        queued = [Row(values, asker, place, now_s) for place, values in enumerate(rows)]
        self._desk.add(of, queued, now_s)
        self._wake_one()
        return queued

    def has_room_for_more(self) -> bool:
        """Return whether few enough rows wait for some that are not urgent."""
        return self._desk.waiting_rows < self._settings.queue_rows // 8

    def is_loaded(self, key: VersionKey) -> bool:
        """Return whether a worker has a version loaded."""
        return self._desk.is_loaded(key)

    async def preload(self, of: VersionRows, within_s: float) -> None:
        """Have a version loaded by every worker, in time at least by one.

        Raises:
          DataLossError, FailedPreconditionError: it cannot be loaded, as a worker found.
          UnavailableError: its artifact cannot be had, or no worker has loaded it in time.
        """
        self._loading[of.key] = of
        try:
            self._want()
            with trio.move_on_after(within_s):
                while not self._desk.is_loaded_by_all(of.key):
                    self._desk.check(of.key, trio.current_time())
                    await self._loaded.wait()
        finally:
            self._loading.pop(of.key, None)
        if not self._desk.is_loaded(of.key):
            raise no_worker_in_time(within_s, self.workers)
        # It is wanted no more by this call, and not yet by those who come to ask.
        self._desk.keep(of.key, trio.current_time())

    async def exchange(self, scorer: Scorer, report: Report, wait_s: float) -> Reply:
        """Take what came of a worker's batch and hand it the next one, or none within `wait_s`.

        Cancellation: a checkpoint while waiting; no batch is lost.
        """
        self._take(scorer, report)
        deadline_s = trio.current_time() + wait_s
        mine = self._latest_call[scorer] = object()
        while True:
            now_s = trio.current_time()
            if self._closed or (
                self._leases is not None and self._leases.is_relieved(scorer.worker_id)
            ):
                return Reply(leave=True)
            if self._latest_call.get(scorer) is not mine:
                # Nobody reads this answer: the worker has asked again since.
                return Reply()
            batch = self._desk.next_batch(scorer, now_s)
            if batch is not None or now_s >= deadline_s:
                return Reply(batch, self._desk.find_forgettable(scorer, now_s))
            await self._wait(deadline_s)

    async def run(
        self,
        leases: Leases,
        find_wanted: Callable[[], Iterable[VersionRows]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Watch over workers until cancelled; whose lease is over has lost its batch.

        Args:
          find_wanted: returns the versions that every worker is to have loaded.
        """
        self._leases = leases
        tidied_s = trio.current_time()
        task_status.started()
        while True:
            self._always = {one.key: one for one in find_wanted()}
            self._want()
            for scorer in self._desk.scorers:
                if not leases.holds_job(scorer.worker_id, scorer.job_id, scorer.token):
                    self._desk.lose(scorer)
                    self._latest_call.pop(scorer, None)
                    self._wake_all()
                elif self._idle and leases.is_relieved(scorer.worker_id):
                    self._wake_all()
            hedge_s = self._desk.next_hedge_s()
            now_s = trio.current_time()
            self._desk.expire(now_s)
            if hedge_s is not None and hedge_s <= now_s:
                self._wake_one()
            if now_s - tidied_s > _TIDY_S:
                tidied_s = now_s
                self._desk.tidy(now_s)
            metrics.SCORERS.set(self.workers)
            metrics.SCORING_QUEUE_ROWS.set(self._desk.waiting_rows)
            await trio.sleep(_IDLE_LOOK_S if hedge_s is None else self._settings.look_s)

    def close(self) -> None:
        """Have every worker hand its job back, now and from now on."""
        self._closed = True
        self._wake_all()

    def _take(self, scorer: Scorer, report: Report) -> None:
        now_s = trio.current_time()
        if report.number and report.error_code:
            self._desk.refuse(scorer, report.number, report.error_code, report.error, now_s)
            self._wake_all()
            self._tell_loaded()
        elif report.number:
            try:
                self._desk.deliver(
                    scorer,
                    report.number,
                    lambda rows: decode_scores(report.predictions, rows),
                    now_s,
                )
            except BadPredictionsError as error:
                code = "bad_predictions"
                self._desk.refuse(scorer, report.number, code, str(error), now_s)
        if self._desk.note_loaded(scorer, report.loaded):
            self._tell_loaded()

    def _tell_loaded(self) -> None:
        """Have those look again who wait for a version: it is loaded, or cannot be."""
        loaded, self._loaded = self._loaded, trio.Event()
        loaded.set()

    def _want(self) -> None:
        if self._desk.want(self._always | self._loading):
            self._wake_all()

    async def _wait(self, deadline_s: float) -> None:
        """Wait for work; what is noticed and not taken is left to another who waits."""
        woken = trio.Event()
        self._idle.append(woken)
        try:
            with trio.move_on_at(deadline_s):
                await woken.wait()
        except trio.Cancelled:
            if woken.is_set():
                self._wake_one()
            raise
        finally:
            if not woken.is_set():
                self._idle.remove(woken)

    def _wake_one(self) -> None:
        if self._idle:
            self._idle.popleft().set()

    def _wake_all(self) -> None:
        while self._idle:
            self._wake_one()
