"""When each feature was last fed: the newest event or upload that it looks at."""

from collections.abc import Collection, Iterable, Iterator
from typing import Final, TypeVar

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.clock import Clock, read_clock_us
from engine.features import FeatureSet
from engine.features.definitions import EventFeature, Feature, UploadFeature
from engine.records import Append, AppendStream, Commit
from engine.store import Reader
from engine.store.queries import load_queries

_QUERIES = load_queries("engine.console")
_TIMEOUT_S: Final = 5.0
DAYS_LOOKED_BACK: Final = 30
"""What was before the start is read from the data file once, and no further back than this."""
_DAY_US: Final = 86_400_000_000
_NEVER: Final = int(np.iinfo(np.int64).min)

Key = TypeVar("Key")
Source = tuple[str, bool]
"""An action that features name, or empty for all others; and whether the event has a value.

Of uploads: the dataset, and True.
"""


@attrs.frozen
class Fed:
    """The newest event time of a source, microseconds UTC."""

    event_time_us: int
    delay_s: float | None = None
    """From then to when reads reflected it; None if that was before the engine's start."""


class FeatureTimes:
    """Follows the commits of a data file. Used from the Trio thread."""

    def __init__(
        self, feature_set: FeatureSet, reader: Reader, clock: Clock = read_clock_us
    ) -> None:
        self._features = feature_set.features
        self._reader = reader
        self._clock = clock
        self._actions = frozenset[str]().union(*(one.actions or () for one in feature_set.events))
        self._events: dict[Source, Fed] = {}
        self._uploads: dict[str, Fed] = {}
        self._history_read = False

    def note_commit(self, commit: Commit) -> None:
        """Take in what a commit brought. A commit listener."""
        now_us = self._clock()
        for request in commit.requests:
            for operation in request.operations:
                if isinstance(operation, Append) and operation.row_count:
                    self._note_rows(operation.table, operation.data, now_us)
                elif isinstance(operation, AppendStream) and operation.applies is not None:
                    newest = pc.max(operation.applies.rows.column("event_us")).as_py()
                    if newest is not None:
                        self._note_upload(operation.applies.dataset, newest, now_us)

    async def read_history(self) -> None:
        """Learn once what was before the engine's start.

        Raises: StoreError, DeadlineExceededError: the next call tries again.
        """
        if self._history_read:
            return
        since_us = self._clock() - DAYS_LOOKED_BACK * _DAY_US
        asked = {"actions": sorted(self._actions), "since_us": since_us}
        for action, has_value, newest in await self._reader.fetch_rows(
            _QUERIES["newest_events"], asked, timeout_s=_TIMEOUT_S
        ):
            _keep_newer(self._events, (action, has_value), Fed(newest))
        for dataset, newest in await self._reader.fetch_rows(
            _QUERIES["newest_uploads"], {"since_us": since_us}, timeout_s=_TIMEOUT_S
        ):
            _keep_newer(self._uploads, dataset, Fed(newest))
        self._history_read = True

    def find(self, feature: Feature) -> Fed | None:
        """Return what fed a feature last; of a formula, the newest of all it builds on.

        None: nothing did within `DAYS_LOOKED_BACK`.
        """
        return _newest(filter(None, map(self._find_base, self._bases(feature))))

    def is_stale(self, feature: Feature) -> bool:
        """Return whether nobody's value can be within its ttl; of a formula, of any part of it."""
        now_us = self._clock()
        for base in self._bases(feature):
            fed = self._find_base(base)
            if base.ttl_us is not None and fed and now_us - fed.event_time_us > base.ttl_us:
                return True
        return False

    def _bases(self, feature: Feature) -> Iterator[EventFeature | UploadFeature]:
        # A stack of its own, and each feature once: formulas build on formulas.
        pending, seen = [feature], {feature.name}
        while pending:
            one = pending.pop()
            if isinstance(one, EventFeature | UploadFeature):
                yield one
                continue
            new = [name for name in one.inputs if name not in seen]
            seen.update(new)
            pending += [self._features[name] for name in new]

    def _find_base(self, feature: EventFeature | UploadFeature) -> Fed | None:
        if isinstance(feature, UploadFeature):
            return self._uploads.get(feature.dataset)
        return _newest(
            fed
            for (action, has_value), fed in self._events.items()
            if (feature.actions is None or action in feature.actions)
            and (has_value or feature.column != "value")
        )

    def _note_rows(self, table: str, rows: pa.RecordBatch, now_us: int) -> None:
        if table == "events":
            for source, newest in find_newest(rows, self._actions):
                _keep_newer(self._events, source, _feed(newest, now_us))
        elif table == "feature_history":
            datasets = rows.column("dataset").to_pylist()
            times = rows.column("event_time").cast(pa.int64()).to_pylist()
            for dataset, newest in zip(datasets, times, strict=True):
                self._note_upload(dataset, newest, now_us)

    def _note_upload(self, dataset: str, newest: int, now_us: int) -> None:
        _keep_newer(self._uploads, dataset, _feed(newest, now_us))


def find_newest(events: pa.RecordBatch, actions: Collection[str]) -> Iterable[tuple[Source, int]]:
    """Return the newest event time by source; a source may come several times. Pure.

    Args:
      events: rows of the table `events`.
      actions: those that are told apart.
    """
    encoded = events.column("action").dictionary_encode()
    names = encoded.dictionary.to_pylist()
    times = events.column("event_time").cast(pa.int64()).to_numpy()
    values = pc.fill_null(events.column("value"), float("nan")).to_numpy()
    slots = encoded.indices.to_numpy() * 2 + np.isfinite(values)
    newest = np.full(2 * len(names), _NEVER, dtype=np.int64)
    np.maximum.at(newest, slots, times)
    return [
        ((names[slot // 2] if names[slot // 2] in actions else "", slot % 2 == 1), time_us)
        for slot, time_us in enumerate(newest.tolist())
        if time_us != _NEVER
    ]


def _feed(event_time_us: int, now_us: int) -> Fed:
    return Fed(event_time_us, max(0.0, (now_us - event_time_us) / 1e6))


def _newest(fed: Iterable[Fed]) -> Fed | None:
    return max(fed, key=lambda one: one.event_time_us, default=None)


def _keep_newer(kept: dict[Key, Fed], key: Key, fed: Fed) -> None:
    before = kept.get(key)
    if before is None or fed.event_time_us > before.event_time_us:
        kept[key] = fed
