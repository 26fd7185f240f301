"""More archives of one time than lie on the disk at once."""

from pathlib import Path

import pytest

from engine.errors import ResourceExhaustedError
from engine.history import HistoryQuery, HistoryRead
from engine.history.archive_cursor import Shelf
from engine.history.archive_files import ArchiveFiles
from engine.history.file_rows import FileQueries
from engine.history.selection import Selection
from tests.support.archived_rows import (
    DAY_US,
    EVENTS,
    START_US,
    append,
    key_of,
    make_events,
    move,
    spread,
)


class CountedFiles(ArchiveFiles):
    """Tells how many archives are on the disk, which nobody can see there."""

    fetched = 0
    held: list[int]

    async def fetch(self, archive):
        file = await super().fetch(archive)
        self.fetched += 1
        self.held.append(len(list_unnamed(self._folder)))
        return file


def list_unnamed(folder: Path) -> list[str]:
    descriptors = Path("/proc/self/fd").iterdir()
    names = [str(path.readlink()) for path in descriptors if path.is_symlink()]
    return [name for name in names if name.startswith(str(folder)) and "(deleted)" in name]


async def read_with(world, **bounds):
    files = CountedFiles(world.blobs, world.folder, threads=1)
    files.held = []
    shelf = Shelf(files, **bounds)
    selection = Selection(HistoryQuery(EVENTS), world.store.writer.commit_seq)
    read = HistoryRead(selection, shelf)
    await read.begin(FileQueries(world.store.reader))
    rows = []
    try:
        while (batch := await read.next_rows()) is not None:
            rows += batch.to_pylist()
    finally:
        shelf.clear()
    return rows, files


@pytest.fixture
async def stragglers(world):
    """Ten archives, a day each, and in each of them a few rows of the first day."""
    for day in range(10):
        first_us = START_US + day * DAY_US
        times = [first_us + place * 1_000_000 for place in range(300)]
        late = [START_US + place * 1_000_000 for place in range(5)]
        rows = make_events(sorted(late + times), first_offset=day * 400)
        await append(world.store, EVENTS, rows)
        await move(world.store, world.blobs, EVENTS, first_us + DAY_US, row_group_rows=100)
    return world


@pytest.mark.parametrize("bounds", [{"most_files": 2}, {"most_bytes": 16_000}, {"most_files": 1}])
async def test_archives_make_room_for_those_that_are_wanted_first(stragglers, bounds) -> None:
    rows, files = await read_with(stragglers, **bounds)
    assert len(rows) == 10 * 305
    assert len({row["offset"] for row in rows}) == len(rows)
    assert [key_of(EVENTS, row) for row in rows] == sorted(key_of(EVENTS, row) for row in rows)
    assert max(files.held) <= bounds.get("most_files", 4)
    assert 10 < files.fetched <= 20


async def test_archives_that_keep_pushing_each_other_out_end_the_read(world) -> None:
    """Six of the same time, of which two fit: every few rows another one would be fetched."""
    for number in range(6):
        await append(world.store, EVENTS, make_events(spread(900, seed=number)))
        await move(world.store, world.blobs, EVENTS, START_US + 11 * DAY_US)
    with pytest.raises(ResourceExhaustedError, match="ask for less time"):
        await read_with(world, most_files=2)
    rows, files = await read_with(world, most_files=6)
    assert (len(rows), files.fetched) == (5_400, 6)
