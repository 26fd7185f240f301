"""The online store: every entity's features in memory, written through after each commit.

It gives exactly what history would give, or declines; it never approximates.
"""

import enum
import logging
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import trio

from engine import metrics
from engine.clock import Clock, read_clock_us
from engine.config import OnlineConfig
from engine.features.accumulators import AFTER_ALL
from engine.features.collector import CollectorRelief
from engine.features.entity import Entity, KeptRow
from engine.features.eventlog import RECORD, EventColumns, pack_by_entity
from engine.features.horizon import Horizon
from engine.features.keeping import KeepingPlan
from engine.features.latecomers import ROW_BYTES, Latecomers, LateRow
from engine.features.loading import Share, fetch_extent, load_entities
from engine.features.residents import Residents
from engine.features.selection import Selection
from engine.features.source import HistoryReader
from engine.features.values import NO_CELL, FeatureRow
from engine.features.views import FeatureSet
from engine.records import Append, AppendStream, Commit, LatestRows

logger = logging.getLogger(__name__)

_ROWS_A_PART = 1_000_000
"""Rows of history that a rebuild takes through memory at a time: about 200 MB at the peak."""


_APPLIED_AT_ONCE = 5_000
"""Uploaded rows that a commit may bring before they are handed to their entities bit by bit."""
_TAKEN_A_TURN = 200
"""Rows handed to their entities while the event loop waits: some 2 ms."""


class Decline(enum.Enum):
    """Why memory cannot answer."""

    NOT_RESIDENT = "not resident"
    """The entity was evicted or never loaded; load it."""
    NOT_EXACT = "not exact"
    """The window reaches what was dropped, or later events are mixed in; ask history."""


class OnlineStore:
    """Features in memory. Used from the Trio thread only.

    Args:
      feature_set: the definitions.
      settings: memory budget, and how many events an entity may have before they are folded.
      clock: the time, by which old tiles are let go.
      horizon: since when the data file's events are complete; without it, they all are.
    """

    def __init__(
        self,
        feature_set: FeatureSet,
        settings: OnlineConfig,
        clock: Clock = read_clock_us,
        horizon: Horizon | None = None,
    ) -> None:
        self.plan = KeepingPlan(feature_set)
        self._settings = settings
        self._clock = clock
        self._horizon = horizon or Horizon()
        self._fold_bytes = settings.fold_events * RECORD.size
        self._residents = Residents(settings.max_bytes)
        self._collector = CollectorRelief()
        self._loading: dict[int, Entity] = {}
        self._latecomers = Latecomers()
        self._latecomers_arrived = trio.Event()
        self._behind: list[Commit] | None = None
        self._commit_seq = 0
        self._from_memory = metrics.ONLINE_READS.labels("online")

    @property
    def commit_seq(self) -> int:
        """The last commit that reads reflect."""
        return self._commit_seq

    @property
    def complete(self) -> bool:
        """Whether every entity is in memory."""
        return self._residents.complete

    @property
    def has_latecomers(self) -> bool:
        """Whether rows of a big upload are yet to be handed to their entities."""
        return bool(self._latecomers)

    def __len__(self) -> int:
        return len(self._residents)

    def apply(self, commit: Commit) -> None:
        """Take in a commit. Called in commit order, after the commit, before senders are answered.

        Commits that were taken in already (a rebuild may run ahead of them) are passed over.
        """
        if self._behind is not None:
            self._behind.append(commit)
            return
        if commit.commit_seq <= self._commit_seq:
            return
        events = []
        uploads = []
        latest = []
        for request in commit.requests:
            for operation in request.operations:
                if isinstance(operation, Append) and operation.row_count:
                    if operation.table == "events":
                        events.append(operation.data)
                    elif operation.table == "feature_history":
                        uploads.append(operation.data)
                elif isinstance(operation, AppendStream) and operation.applies is not None:
                    latest.append(operation.applies)
        if events:
            self._apply_events(events, commit.commit_seq)
        for batch in uploads:
            self._apply_uploads(batch)
        # The writer adds streams after all other rows, so theirs come last in the history too.
        for rows in latest:
            self._apply_latest(rows)
        self._commit_seq = commit.commit_seq
        if events or uploads or latest:
            self._settle()

    def read(self, entity_key: int, selection: Selection, as_of_us: int) -> FeatureRow | Decline:
        """Compute features from memory.

        Args:
          entity_key: whose.
          selection: which, from the same feature set.
          as_of_us: when, microseconds UTC.
        Returns: the row, which holds at `commit_seq`, or why memory cannot tell.
        """
        if self._latecomers:
            self._take_late(entity_key)
        entity = self._residents.get(entity_key)
        if entity is None:
            if not self._residents.complete:
                return Decline.NOT_RESIDENT
            output = selection.output(selection.compute([NO_CELL] * len(selection.base), as_of_us))
            self._from_memory.inc()
            return FeatureRow(entity_key, as_of_us, self._commit_seq, output)
        row = entity.row
        if (
            row is None
            or row.selection is not selection
            or not row.since_us <= as_of_us < row.until_us
        ):
            row = self._compute(entity, selection, as_of_us)
            if row is None:
                return Decline.NOT_EXACT
        output = row.output
        if selection.moves and as_of_us != row.since_us:
            output = selection.output(selection.refresh(row.values, row.cells, as_of_us))
        entity.used = True
        self._from_memory.inc()
        return FeatureRow(entity_key, as_of_us, self._commit_seq, output)

    async def run(self) -> None:
        """Hand rows of big uploads to their entities until cancelled.

        Reads are exact without it: they hand over what they need. It frees the memory.
        """
        while True:
            await self._latecomers_arrived.wait()
            self._latecomers_arrived = trio.Event()
            while self._latecomers:
                for _ in range(_TAKEN_A_TURN):
                    taken = self._latecomers.take_any()
                    if taken is None:
                        break
                    self._hand_over(*taken)
                self._settle()
                await trio.lowlevel.checkpoint()

    async def load(self, reader: HistoryReader, entity_key: int) -> None:
        """Load an entity that is not resident, unless a load of it is under way.

        Raises:
          StoreError: a query failed; the entity stays out.
        Cancellation: the entity stays out.
        """
        if entity_key in self._loading or self._behind is not None:
            return
        # Commits after this one collect here while the query runs.
        arriving = self._loading[entity_key] = Entity()
        commit_seq = self._commit_seq
        complete_since_us = self._horizon.complete_since_us
        try:
            loaded = await load_entities(
                reader,
                self.plan,
                Share.one(entity_key),
                commit_seq=commit_seq,
                now_us=self._clock(),
                complete_since_us=complete_since_us,
            )
        finally:
            # A rebuild meanwhile started from nothing, and so must whoever asks again.
            valid = self._loading.pop(entity_key, None) is arriving
            # And what was moved meanwhile may be missing in what was read.
            valid = valid and self._horizon.complete_since_us == complete_since_us
        if valid:
            entity = loaded.get(entity_key) or Entity()
            entity.absorb(arriving)
            entity.used = True
            entity.measure(self.plan)
            self._residents.add(entity_key, entity)
            self._settle()

    async def rebuild(self, reader: HistoryReader, commit_seq: int | None = None) -> None:
        """Fill the store from the data file; what it held before is forgotten.

        Commits that are applied meanwhile are taken in at the end. Entities beyond the memory
        budget are left to be loaded when they are read.

        Args:
          reader: queries over the data file.
          commit_seq: the file's last commit, as the writer tells; without it, the last one that
            wrote events or uploads.
        Raises:
          StoreError: a query failed; the store is empty and reads are declined.
        Cancellation: as for an error.
        """
        started_s = trio.current_time()
        residents = self._forget()
        self._behind = []
        try:
            extent = await fetch_extent(reader)
            self._commit_seq = extent.commit_seq if commit_seq is None else commit_seq
            parts = 1 + (extent.event_count + extent.upload_count) // _ROWS_A_PART
            loaded = 0
            while loaded < parts and residents.has_room:
                residents.add_all(
                    await load_entities(
                        reader,
                        self.plan,
                        Share.part(loaded, parts),
                        commit_seq=self._commit_seq,
                        now_us=self._clock(),
                        complete_since_us=self._horizon.complete_since_us,
                    )
                )
                loaded += 1
            residents.complete = loaded == parts
        except BaseException:
            self._forget()
            raise
        finally:
            behind, self._behind = self._behind, None
            for commit in behind:
                self.apply(commit)
            self._settle()
            self._collector.set_apart(residents.taken_in_bytes)
        logger.info(
            "online store rebuilt",
            extra={
                "entities": len(residents),
                "complete": residents.complete,
                "commit_seq": self._commit_seq,
                "duration_s": round(trio.current_time() - started_s, 3),
            },
        )

    def _forget(self) -> Residents:
        residents = self._residents = Residents(self._settings.max_bytes)
        residents.complete = False
        self._loading.clear()
        self._latecomers.clear()
        return residents

    def _compute(self, entity: Entity, selection: Selection, as_of_us: int) -> KeptRow | None:
        if entity.pending_us <= as_of_us:
            now_us = self._clock()
            entity.fold(self.plan, up_to_us=min(as_of_us, now_us), now_us=now_us)
        read = entity.read(self.plan, self.plan.reads(selection), as_of_us)
        row = None
        if read is not None:
            cells, until_us = read
            values = selection.compute(cells, as_of_us)
            row = KeptRow(
                selection=selection,
                cells=cells,
                values=values,
                output=selection.output(values),
                since_us=as_of_us,
                until_us=min(until_us, selection.fresh_until_us(cells, as_of_us)),
            )
            entity.row = row
        self._residents.grow(entity.measure(self.plan))
        # Reading makes objects too, and of an engine that is only asked there is no commit.
        self._collector.grow_to(self._residents.taken_in_bytes)
        return row

    def _apply_events(self, batches: list[pa.RecordBatch], commit_seq: int) -> None:
        columns = EventColumns.of_batch(pa.Table.from_batches(batches), commit_seq)
        get = self._residents.get
        fold_bytes = self._fold_bytes
        grown = 0
        for key, records, first_us in pack_by_entity(columns, self.plan.codes):
            entity = get(key)
            if entity is None:
                entity = self._admit(key)
                if entity is not None:
                    entity.append(records, first_us)
                    grown += len(records) if self._residents.complete else 0
                continue
            entity.append(records, first_us)
            grown += len(records)
            if len(entity.log) > fold_bytes:
                entity.fold(self.plan, up_to_us=AFTER_ALL, now_us=self._clock())
                grown += entity.measure(self.plan)
        self._residents.grow(grown)
        newest_us = pc.max(columns.event_time).as_py()
        metrics.FEATURE_FRESHNESS.observe(max(0.0, (self._clock() - newest_us) / 1e6))

    def _apply_uploads(self, batch: pa.RecordBatch) -> None:
        rows = zip(
            batch.column("entity_key").to_pylist(),
            batch.column("dataset").to_pylist(),
            batch.column("fields").to_pylist(),
            batch.column("event_time").cast(pa.int64()).to_pylist(),
            strict=True,
        )
        for key, dataset, text, event_us in rows:
            # Among equal times the row of the later commit wins, so the earlier ones go first.
            self._take_late(key)
            self._set_upload(key, dataset, event_us, text)

    def _apply_latest(self, latest: LatestRows) -> None:
        if latest.dataset not in self.plan.uploads:
            return
        if latest.rows.num_rows > _APPLIED_AT_ONCE:
            self._residents.grow(self._latecomers.add(latest))
            self._latecomers_arrived.set()
            return
        columns = (column.to_pylist() for column in latest.rows.columns)
        for key, event_us, text in zip(*columns, strict=True):
            self._take_late(key)
            self._set_upload(key, latest.dataset, event_us, text)

    def _take_late(self, key: int) -> None:
        self._hand_over(key, self._latecomers.take(key))

    def _hand_over(self, key: int, rows: Sequence[LateRow]) -> None:
        self._residents.grow(-ROW_BYTES * len(rows))
        for dataset, event_us, text in rows:
            self._set_upload(key, dataset, event_us, text)

    def _set_upload(self, key: int, dataset: str, event_us: int, text: str | None) -> None:
        columns = self.plan.uploads.get(dataset)
        if columns is None:
            return
        resident = self._residents.get(key)
        entity = resident or self._admit(key)
        if entity is not None:
            entity.set_upload(dataset, event_us, columns.decode(text))
        if resident is not None:
            self._residents.grow(resident.measure(self.plan))

    def _admit(self, key: int) -> Entity | None:
        """Return where to keep what arrives for an entity that is not resident, if anywhere."""
        if not self._residents.complete:
            return self._loading.get(key)
        entity = Entity()
        self._residents.add(key, entity)
        return entity

    def _settle(self) -> None:
        """Keep the budget and show the sizes."""
        gone = self._residents.evict()
        if gone:
            metrics.ONLINE_EVICTIONS.inc(gone)
        self._collector.grow_to(self._residents.taken_in_bytes)
        metrics.ONLINE_ENTITIES.set(len(self._residents))
        metrics.ONLINE_BYTES.set(self._residents.size_bytes)
