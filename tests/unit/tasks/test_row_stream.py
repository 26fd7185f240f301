"""Rows that arrive in pieces, cut anywhere."""

from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.tasks.row_stream import UnreadableRowsError, read_table

ROWS = pa.table({"entity_key": [1, 2, 3], "plan": ["a", None, "é"], "spend": [0.5, None, -1.0]})


def stream(table: pa.Table, batch_rows: int = 2) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=batch_rows)
    return bytes(sink.getvalue())


def cut(content: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]
        yield b""


@settings(deadline=None)
@given(st.integers(1, 5_000))
def test_pieces_of_any_size_make_the_rows(size: int) -> None:
    noted: list[int] = []
    assert read_table(cut(stream(ROWS), size), noted.append) == ROWS
    assert noted == [2, 3]


def test_a_stream_without_rows_has_its_columns() -> None:
    empty = ROWS.slice(0, 0)
    assert read_table(cut(stream(empty), 100), lambda rows: None).schema == ROWS.schema


@pytest.mark.parametrize("content", [b"", b"rows", stream(ROWS)[:200], stream(ROWS)[:-300]])
def test_what_is_no_whole_stream_is_refused(content: bytes) -> None:
    with pytest.raises(UnreadableRowsError):
        read_table(cut(content, 64), lambda rows: None)


def test_what_fails_on_the_way_is_not_hidden() -> None:
    def failing() -> Iterator[bytes]:
        yield stream(ROWS)[:100]
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        read_table(failing(), lambda rows: None)
