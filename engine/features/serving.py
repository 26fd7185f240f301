"""Features for whoever asks: from memory when that is exact, else from the data file."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import trio

from engine import metrics, tracing
from engine.clock import Clock, read_clock_us
from engine.errors import InvalidArgumentError, ResourceExhaustedError
from engine.features.history import fetch_cells
from engine.features.horizon import Horizon
from engine.features.online import Decline, OnlineStore
from engine.features.selection import Selection
from engine.features.source import HistoryReader
from engine.features.training import fetch_training_set
from engine.features.values import Cell, FeatureRow, FeatureValue
from engine.features.views import FeatureSet

_SOURCE = "trellis.features.source"
"""`online`, or `history` if that was asked for any entity."""
_HISTORY_READS = 4
"""Reads of history at a time: more would only share the cores of the queries under way."""
_HISTORY_QUEUE = 256
"""Reads of history that may wait; past that they would not be answered in time anyway."""
_HISTORY_RETRY_S = 1.0
_HISTORY_TIMEOUT_S = 30.0
"""For one query. It takes milliseconds, and seconds for an entity with millions of events."""


class FeatureStore:
    """The one way to read features. Used from the Trio thread.

    Args:
      feature_set: the definitions.
      online: the store in memory, of the same feature set.
      reader: queries over the data file that `online` follows.
      clock: the time that a read without `as_of_us` means.
      horizon: how far back the data file can be asked; without it, any time.
    """

    def __init__(
        self,
        feature_set: FeatureSet,
        online: OnlineStore,
        reader: HistoryReader,
        clock: Clock = read_clock_us,
        horizon: Horizon | None = None,
    ) -> None:
        self.feature_set = feature_set
        self.horizon = horizon or Horizon()
        self._online = online
        self._reader = reader
        self._clock = clock
        self._from_history = metrics.ONLINE_READS.labels("history")
        self._history_slots = trio.CapacityLimiter(_HISTORY_READS)

    async def get(
        self,
        entity_key: int,
        names: Sequence[str],
        as_of_us: int | None = None,
        commit_seq: int | None = None,
    ) -> FeatureRow:
        """Return an entity's features at a time.

        Args:
          entity_key: whose.
          names: which, in the order of the answer; best a tuple that is used again.
          as_of_us: when, microseconds UTC; None for now.
          commit_seq: as the data was after this commit; None for the last.
        Raises:
          NotFoundError: a name is not a feature's.
          InvalidArgumentError: names do not go together, or the commit is still to come.
          FailedPreconditionError: it reaches back to events that have been moved.
          StoreError: history was asked and failed.
          DeadlineExceededError: history was asked and did not answer in time.
          ResourceExhaustedError: too many reads of history wait.
        Cancellation: a checkpoint only when the data file is asked; its query is interrupted.
        """
        with tracing.start("read features") as span:
            selection = self.feature_set.select(names)
            if as_of_us is None:
                as_of_us = self._clock()
            online = self._online
            if commit_seq is None or commit_seq == online.commit_seq:
                answer = online.read(entity_key, selection, as_of_us)
                if answer is Decline.NOT_RESIDENT:
                    span.add_event("load entity")
                    await online.load(self._reader, entity_key)
                    if commit_seq is None or commit_seq == online.commit_seq:
                        answer = online.read(entity_key, selection, as_of_us)
                if isinstance(answer, FeatureRow):
                    span.set(_SOURCE, "online")
                    return answer
            span.set(_SOURCE, "history")
            [row] = await self._get_from_history((entity_key,), selection, as_of_us, commit_seq)
            return row

    async def get_many(
        self, entity_keys: Sequence[int], names: Sequence[str], as_of_us: int | None = None
    ) -> list[FeatureRow]:
        """Return the features of several entities at one time, in the order of the keys.

        All rows hold at the same commit. Raises and cancellation: as `get`.
        """
        with tracing.start("read features") as span:
            selection = self.feature_set.select(names)
            if as_of_us is None:
                as_of_us = self._clock()
            rows = {key: self._online.read(key, selection, as_of_us) for key in entity_keys}
            answers = {key: row for key, row in rows.items() if isinstance(row, FeatureRow)}
            declined = tuple(key for key in rows if key not in answers)
            span.set(_SOURCE, "history" if declined else "online")
            span.set("trellis.entities", len(rows))
            if declined:
                commit_seq = self._online.commit_seq
                for row in await self._get_from_history(declined, selection, as_of_us, commit_seq):
                    answers[row.entity_key] = row
            return [answers[key] for key in entity_keys]

    async def rebuild(
        self, entity_key: int, names: Sequence[str], as_of_us: int, commit_seq: int
    ) -> tuple[FeatureValue | None, ...]:
        """Return what an entity's features were, as far as the data file still tells.

        Returns: in the order of the names; None for those that rest on events which may have been
          moved. What is not None is to the last bit what `get` answered.
        Raises:
          NotFoundError, InvalidArgumentError, StoreError, DeadlineExceededError,
          ResourceExhaustedError: as `get`.
        Cancellation: as `get`.
        """
        selection = self.feature_set.select(names)
        commit_seq = self._check_commit(commit_seq)
        found = await self._fetch_cells((entity_key,), selection, as_of_us, commit_seq)
        cells = found[entity_key]
        # Not before the query: what is moved while it runs may be missing in it.
        lost = self.horizon.find_lost(selection.base, cells, as_of_us, commit_seq)
        for expression in selection.expressions:
            if not lost.isdisjoint(expression.inputs):
                lost.add(expression.name)
        values = selection.output(selection.compute(cells, as_of_us))
        return tuple(None if value.name in lost else value for value in values)

    def earliest_us(self, names: Sequence[str], look_back_us: int | None = None) -> int:
        """Return since when reads of these features are complete, microseconds UTC; 0: always.

        Args:
          look_back_us: as `Horizon.earliest_us`.
        Raises:
          NotFoundError, InvalidArgumentError: as `get`.
        """
        return self.horizon.earliest_us(self.feature_set.select(names).base, look_back_us)

    async def training_set(
        self,
        keys: pa.Table,
        names: Sequence[str],
        commit_seq: int | None = None,
        *,
        with_status: bool = False,
        timeout_s: float | None = None,
    ) -> pa.Table:
        """Return the features that each entity had at each time.

        Args:
          keys: columns entity_key (int64) and event_time (timestamp, microseconds, UTC); any order,
            repeated and unknown entities as they come.
          names: the features.
          commit_seq: as the data was after this commit; None for the last.
          with_status: add a text column `<feature>__status` for each feature.
          timeout_s: time for the query.
        Returns: one row for each row of `keys`, in its order: entity_key, event_time and a column
          for each feature.
        Raises:
          NotFoundError, InvalidArgumentError: as `get`, or `keys` has other columns or NULLs.
          FailedPreconditionError: as `get`, for the earliest row.
          DeadlineExceededError: the query took longer than `timeout_s`.
        Cancellation: the query is interrupted.
        """
        selection = self.feature_set.select(names)
        commit_seq = self._check_commit(commit_seq)
        rows = await fetch_training_set(
            self._reader,
            selection,
            keys,
            commit_seq,
            with_status=with_status,
            timeout_s=timeout_s,
        )
        if rows.num_rows:
            # Not before the query: what is moved while it runs may be missing in it.
            oldest_us = pc.min(keys["event_time"].cast(pa.int64())).as_py()
            self.horizon.check(selection.base, oldest_us, commit_seq)
        return rows

    async def _get_from_history(
        self,
        entity_keys: Sequence[int],
        selection: Selection,
        as_of_us: int,
        commit_seq: int | None,
    ) -> list[FeatureRow]:
        commit_seq = self._check_commit(commit_seq)
        self.horizon.check(selection.base, as_of_us, commit_seq)
        cells = await self._fetch_cells(entity_keys, selection, as_of_us, commit_seq)
        # What was moved while the queries ran may be missing in them.
        self.horizon.check(selection.base, as_of_us, commit_seq)
        return [
            FeatureRow(
                key, as_of_us, commit_seq, selection.output(selection.compute(cells[key], as_of_us))
            )
            for key in entity_keys
        ]

    async def _fetch_cells(
        self,
        entity_keys: Sequence[int],
        selection: Selection,
        as_of_us: int,
        commit_seq: int,
    ) -> Mapping[int, list[Cell]]:
        """Fetch the cells of entities, in turn with other reads of history."""
        slots = self._history_slots
        if slots.statistics().tasks_waiting >= _HISTORY_QUEUE:
            raise ResourceExhaustedError(
                f"{_HISTORY_QUEUE} reads of history wait already; retry after "
                f"{_HISTORY_RETRY_S:g} s, or ask for the present",
                _HISTORY_RETRY_S,
            )
        # A read may take several queries. With a place of its own it gets through them in a row;
        # without one, the first queries of all reads would run before any read's second.
        async with slots:
            cells = await fetch_cells(
                self._reader,
                selection,
                entity_keys,
                as_of_us,
                commit_seq,
                timeout_s=_HISTORY_TIMEOUT_S,
            )
        self._from_history.inc(len(entity_keys))
        return cells

    def _check_commit(self, commit_seq: int | None) -> int:
        last = self._online.commit_seq
        if commit_seq is None:
            return last
        if not 0 <= commit_seq <= last:
            raise InvalidArgumentError(
                "commit_seq", f"{commit_seq} is not a commit so far; the last is {last}"
            )
        return commit_seq
