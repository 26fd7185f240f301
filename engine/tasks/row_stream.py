"""Rows that come from the engine as an Arrow stream, in pieces."""

import io
from collections.abc import Callable, Iterator

import pyarrow as pa


class UnreadableRowsError(ValueError):
    """The pieces are no complete Arrow stream."""


def read_table(pieces: Iterator[bytes], note_rows: Callable[[int], None]) -> pa.Table:
    """Return the rows of a stream as a table.

    Its batches are taken as they arrive; what has been read of a piece is not kept beside them.

    Args:
      pieces: the stream, cut anywhere.
      note_rows: is called after each batch with the rows so far.
    Raises:
      UnreadableRowsError: they are something else, or end early.
    """
    source = _Pieces(pieces)
    batches: list[pa.RecordBatch] = []
    rows = 0
    try:
        with pa.ipc.open_stream(io.BufferedReader(source)) as reader:
            schema = reader.schema
            for batch in reader:
                batches.append(batch)
                rows += batch.num_rows
                note_rows(rows)
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and not source.at_end:
            # Not Arrow misses bytes, but whoever was to bring them failed.
            raise
        raise UnreadableRowsError(f"the rows are no Arrow stream: {error}") from None
    return pa.Table.from_batches(batches, schema)


class _Pieces(io.RawIOBase):
    """A file made of pieces of bytes."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")
        self.at_end = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                self.at_end = True
                return 0
            self._rest = memoryview(piece)
        taken = min(len(buffer), len(self._rest))
        buffer[:taken] = self._rest[:taken]
        self._rest = self._rest[taken:]
        return taken
