"""Events packed into records of fixed size: forty bytes and no object each."""

import struct
from collections.abc import Iterator
from typing import Self

import attrs
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from engine.features.series import Series

RECORD = struct.Struct("<qqqdii")
"""event_time, commit_seq, offset, value (NaN for NULL), partition, action code."""

RECORD_DTYPE = np.dtype(
    [
        ("event_time", "<i8"),
        ("commit_seq", "<i8"),
        ("offset", "<i8"),
        ("value", "<f8"),
        ("partition", "<i4"),
        ("action", "<i4"),
    ]
)
assert RECORD_DTYPE.itemsize == RECORD.size

OTHER_ACTION = 0
"""The code of every action that no feature tells from others."""


class ActionCodes:
    """Small numbers for the actions that features tell apart.

    Where no feature looks at the action of every event, only the actions that features name have a
    code of their own, so that producers cannot make the table grow.
    """

    def __init__(self, series: tuple[Series, ...]) -> None:
        self._open = any(s.actions is None and s.column == "action" for s in series)
        named = sorted({action for s in series for action in s.actions or ()})
        self.names: list[str] = ["", *named]
        self._codes = {name: code for code, name in enumerate(self.names) if code != OTHER_ACTION}

    def encode(self, actions: pa.Array) -> npt.NDArray[np.int32]:
        """Return the code of each action, giving new ones where needed."""
        encoded = actions.dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.unify_dictionaries().combine_chunks()
        codes = [self._code(name) for name in encoded.dictionary.to_pylist()]
        indices: npt.NDArray[np.int32] = encoded.indices.to_numpy()
        return np.asarray(codes, dtype=np.int32)[indices]

    def _code(self, name: str) -> int:
        code = self._codes.get(name)
        if code is None:
            if not self._open:
                return OTHER_ACTION
            code = self._codes[name] = len(self.names)
            self.names.append(name)
        return code


EntityEvents = tuple[int, bytes, int]
"""One entity's events of a batch: its key, the packed records, the oldest event time."""


@attrs.frozen
class EventColumns:
    """Events by column. Times are microseconds; values may be NULL."""

    user_id: pa.Array
    event_time: pa.Array
    commit_seq: pa.Array | int
    offset: pa.Array
    value: pa.Array
    partition: pa.Array
    action: pa.Array

    @classmethod
    def of_batch(cls, batch: pa.RecordBatch | pa.Table, commit_seq: int) -> Self:
        """Return the columns of rows of the table `events` from one commit."""
        return cls(
            user_id=batch.column("user_id"),
            event_time=batch.column("event_time").cast(pa.int64()),
            commit_seq=commit_seq,
            offset=batch.column("offset"),
            value=batch.column("value"),
            partition=batch.column("partition"),
            action=batch.column("action"),
        )


def pack_by_entity(columns: EventColumns, codes: ActionCodes) -> Iterator[EntityEvents]:
    """Yield each entity's events as packed records, in the order they came.

    NULL, NaN and infinite values become NaN.
    """
    keys: npt.NDArray[np.int64] = columns.user_id.to_numpy()
    if not len(keys):
        return
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    times = columns.event_time.to_numpy()[order]
    # Each column is put in order by itself: numpy moves whole records four times as slowly.
    records = np.empty(len(keys), dtype=RECORD_DTYPE)
    records["event_time"] = times
    seq = columns.commit_seq
    records["commit_seq"] = seq if isinstance(seq, int) else seq.to_numpy()[order]
    records["offset"] = columns.offset.to_numpy()[order]
    values = pc.fill_null(columns.value, float("nan")).to_numpy()[order]
    # Adding zero turns -0.0 into 0.0.
    records["value"] = np.where(np.isfinite(values), values, np.nan) + 0.0
    records["partition"] = columns.partition.to_numpy()[order]
    records["action"] = codes.encode(columns.action)[order]
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    firsts = np.minimum.reduceat(times, starts).tolist()
    packed = records.tobytes()
    cuts = (starts * RECORD.size).tolist()
    ends = [*cuts[1:], len(packed)]
    for key, cut, end, first_us in zip(keys[starts].tolist(), cuts, ends, firsts, strict=True):
        yield key, packed[cut:end], first_us
