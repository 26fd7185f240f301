"""Events packed into records of fixed size: forty bytes and no object each."""

import struct
from collections.abc import Iterator

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

Int64s = npt.NDArray[np.int64]

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


def pack_batch(
    batch: pa.RecordBatch, commit_seq: int, codes: ActionCodes
) -> tuple[Int64s, npt.NDArray[np.void]]:
    """Pack a batch of the table `events`.

    Returns: the entity key and the record of each row.
    """
    return pack_columns(
        user_id=batch.column("user_id"),
        event_time=batch.column("event_time").cast(pa.int64()),
        commit_seq=commit_seq,
        offset=batch.column("offset"),
        value=batch.column("value"),
        partition=batch.column("partition"),
        action=batch.column("action"),
        codes=codes,
    )


def pack_columns(
    *,
    user_id: pa.Array,
    event_time: pa.Array,
    commit_seq: pa.Array | int,
    offset: pa.Array,
    value: pa.Array,
    partition: pa.Array,
    action: pa.Array,
    codes: ActionCodes,
) -> tuple[Int64s, npt.NDArray[np.void]]:
    """Pack columns of events; times in microseconds. NULL, NaN and infinite values become NaN."""
    records = np.empty(len(user_id), dtype=RECORD_DTYPE)
    records["event_time"] = event_time.to_numpy()
    records["commit_seq"] = commit_seq if isinstance(commit_seq, int) else commit_seq.to_numpy()
    records["offset"] = offset.to_numpy()
    values = pc.fill_null(value, float("nan")).to_numpy()
    # Adding zero turns -0.0 into 0.0.
    records["value"] = np.where(np.isfinite(values), values, np.nan) + 0.0
    records["partition"] = partition.to_numpy()
    records["action"] = codes.encode(action)
    return user_id.to_numpy(), records


def split_by_entity(keys: Int64s, records: npt.NDArray[np.void]) -> Iterator[EntityEvents]:
    """Yield each entity's records, in the order they came."""
    if not len(keys):
        return
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    records = records[order]
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    firsts = np.minimum.reduceat(records["event_time"], starts).tolist()
    packed = records.tobytes()
    size = RECORD.size
    cuts = (starts * size).tolist()
    ends = [*cuts[1:], len(packed)]
    for key, cut, end, first_us in zip(keys[starts].tolist(), cuts, ends, firsts, strict=True):
        yield key, packed[cut:end], first_us
