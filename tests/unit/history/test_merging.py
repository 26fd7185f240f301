"""A merge gives all rows of all sources, in order, however they are cut into batches."""

from collections.abc import Callable, Iterable, Sequence

import pyarrow as pa
import trio
from hypothesis import given
from hypothesis import strategies as st

from engine.history import EVENTS
from engine.history.cursors import Cursor
from engine.history.merging import Merge
from engine.history.sorted_rows import Key, SortedRows
from tests.support.archived_rows import make_stored_events

Keys = Sequence[tuple[int, int, int]]

KEYS = st.lists(st.tuples(st.integers(0, 6), st.integers(1, 2), st.integers(0, 2)), max_size=12)


class ListCursor(Cursor):
    """Sorted keys in memory, a few at a time."""

    def __init__(self, keys: Keys, batch: int, bound: Key = ()) -> None:
        super().__init__(bound)
        self._left = sorted(keys)
        self._batch = batch
        self.loads = 0

    async def load(self) -> None:
        await trio.lowlevel.checkpoint()
        self.loads += 1
        now, self._left = self._left[: self._batch], self._left[self._batch :]
        self.is_done = not now
        if now:
            self.rows_scanned += len(now)
            self._rows = SortedRows(EVENTS, make_stored_events(now))
            self._bound = self._rows.last_key


async def run_here(call: Callable[[], pa.RecordBatch]) -> pa.RecordBatch:
    await trio.lowlevel.checkpoint()
    return call()


def merged(cursors: Iterable[Cursor]) -> list[tuple[int, int, int]]:
    async def run() -> list[tuple[int, int, int]]:
        merge = Merge(EVENTS, run_here)
        merge.add(cursors)
        keys: list[tuple[int, int, int]] = []
        while (rows := await merge.next_rows()) is not None:
            assert rows.num_rows
            keys += [
                (row["event_time"].microsecond, row["commit_seq"], row["offset"])
                for row in rows.to_pylist()
            ]
        assert merge.rows_scanned == len(keys)
        return keys

    return trio.run(run)


@given(st.lists(st.tuples(KEYS, st.integers(1, 5)), max_size=5))
def test_all_rows_come_once_in_order(sources: list[tuple[Keys, int]]) -> None:
    expected = sorted(key for keys, _ in sources for key in keys)
    assert merged(ListCursor(keys, batch) for keys, batch in sources) == expected


def test_a_source_is_left_alone_until_its_time_comes() -> None:
    late = ListCursor([(6, 1, 0)], 1, bound=(6,))

    class Watching(ListCursor):
        async def load(self) -> None:
            await super().load()
            assert self.is_done or late.loads == 0

    rows = merged([late, Watching([(0, 1, 0), (2, 1, 0), (5, 2, 9)], 1, bound=(0,))])
    assert rows == [(0, 1, 0), (2, 1, 0), (5, 2, 9), (6, 1, 0)]


def test_rows_of_one_key_in_two_sources_do_not_hold_each_other_up() -> None:
    same = [(3, 1, 1)] * 5
    assert merged([ListCursor(same, 2), ListCursor(same, 3, bound=(3,))]) == same * 2
