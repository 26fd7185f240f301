"""The rows of an archive that belong to a selection, and what of the file is read for them."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.history import EVENTS, Archive, ArchiveState, HistoryQuery
from engine.history.scanning import scan_archive
from engine.history.selection import Selection
from engine.retention.parquet import ROW_GROUP_ROWS, encode_rows
from tests.support.archived_rows import START_US, make_events

COMMIT_SEQ = 3
END_BYTES = 64 * 1024
"""What the reader takes of a file's end, where the footer is."""


class CountingFile(io.BytesIO):
    """Counts what is read of it."""

    read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        self.read_bytes += len(content)
        return content


def stored(users: list[int]) -> pa.Table:
    rows = pa.Table.from_batches([make_events(range(START_US, START_US + len(users)), users=users)])
    return rows.append_column("commit_seq", pa.array([1] * len(users), pa.int64()))


def scan(
    content: bytes, row_count: int, entity_key: int | None, start: int = 0
) -> tuple[list[int], list[int], int]:
    """Return offsets and places of the rows found, and how many bytes were read."""
    archive = Archive(
        "a", "events", ArchiveState.STORED, 0, 0, START_US, START_US + row_count, START_US + 10**9,
        COMMIT_SEQ, row_count, "archive/events/a", len(content), "", "[]",
    )  # fmt: skip
    file = CountingFile(content)
    selection = Selection(HistoryQuery(EVENTS, entity_key), COMMIT_SEQ)
    offsets: list[int] = []
    places: list[int] = []
    for batch in scan_archive(file, archive, selection, start):
        offsets += batch.rows.column("offset").to_pylist()
        places += batch.places.to_pylist()
    return offsets, places, file.read_bytes


@settings(max_examples=60, deadline=None)
@given(
    users=st.lists(st.integers(0, 6), min_size=1, max_size=40),
    group_rows=st.integers(1, 12),
    entity_key=st.none() | st.integers(-1, 7),
    start=st.integers(0, 40),
)
def test_all_rows_of_an_entity_are_found_however_they_lie_in_groups(
    users: list[int], group_rows: int, entity_key: int | None, start: int
) -> None:
    sink = io.BytesIO()
    pq.write_table(stored(users), sink, row_group_size=group_rows)
    expected = [
        place for place, user in enumerate(users) if place >= start and entity_key in (None, user)
    ]
    offsets, places, _ = scan(sink.getvalue(), len(users), entity_key, start)
    assert offsets == places == expected


def test_for_an_entity_only_groups_with_rows_of_it_are_read_whole() -> None:
    # Of even numbers, so that no statistics tell that an odd one is not among them.
    users = [place * 7_919 % 10_000 * 2 for place in range(5 * ROW_GROUP_ROWS)]
    seldom = 4_001
    users[2 * ROW_GROUP_ROWS + 17] = seldom
    content = encode_rows(stored(users), {})
    metadata = pq.ParquetFile(io.BytesIO(content)).metadata
    assert metadata.num_row_groups == 5
    columns = [
        metadata.row_group(group).column(column)
        for group in range(5)
        for column in range(metadata.num_columns)
    ]
    of_users = sum(c.total_compressed_size for c in columns if c.path_in_schema == "user_id")
    of_group = sum(
        metadata.row_group(2).column(column).total_compressed_size
        for column in range(metadata.num_columns)
    )
    found, _, read_bytes = scan(content, len(users), 4_003)
    assert found == []
    assert read_bytes <= END_BYTES + of_users < len(content) / 3

    found, _, read_bytes = scan(content, len(users), seldom)
    assert found == [2 * ROW_GROUP_ROWS + 17]
    assert read_bytes <= END_BYTES + of_users + of_group
