"""Old rows go to the blob store, and leave the data file only then: real file, real folder."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import trio

from engine.errors import BackendUnavailableError, DataLossError, SchemaMismatchError
from engine.metrics import (
    RETENTION_FAILURES,
    RETENTION_OLDEST_TIMESTAMP_SECONDS,
    RETENTION_ROWS,
    RETENTION_SUCCESS_TIMESTAMP_SECONDS,
)
from engine.records import Upsert
from engine.retention import MovableTable, dead_letters, events, predictions
from engine.retention.retention import Pace
from tests.support.retention_world import (
    ALL_MOVABLE,
    DAY_US,
    NOW_US,
    RetentionWorld,
    all_events,
    make_dead_letters,
    make_events,
    make_predictions,
)

MIDNIGHT_US = NOW_US // DAY_US * DAY_US
MINUTE_US = 60_000_000
SMALL = Pace(
    step_rows=40, longest_rest_s=0.0, visit_s=0.01, first_delay_s=0.01, longest_delay_s=0.02
)


async def fill(world: RetentionWorld, *, days: int = 10, daily: int = 30) -> None:
    """Write so many days up to today, each in a commit."""
    for day in range(days):
        start_us = MIDNIGHT_US - (days - 1 - day) * DAY_US
        times_us = [start_us + place * MINUTE_US for place in range(daily)]
        await world.write(
            make_events(times_us, first_offset=day * daily),
            make_predictions(times_us[:3], first=day * 3),
        )
    first_us = MIDNIGHT_US - (days - 1) * DAY_US
    await world.write(make_dead_letters([first_us + day * DAY_US for day in range(days)]))
    # A row of now: what was committed together moves when the last of it may.
    await world.write(make_dead_letters([], published=True))


@pytest.mark.parametrize(
    ("table", "stays"), [(all_events(3), 120), (predictions(3), 12), (dead_letters(3), 10)]
)
async def test_rows_past_their_days_are_in_archives_and_the_rest_in_the_file(
    world: RetentionWorld, table: MovableTable, stays: int
) -> None:
    await fill(world)
    before = await world.rows(table.name)
    moved = await world.retention(table, pace=SMALL).move_due(table)
    kept, archived = await world.rows(table.name), await world.archived(table.name)
    assert kept + archived == before
    assert kept.total() == stays
    assert archived.total() == moved == before.total() - stays


async def test_dead_letters_move_once_they_are_published_and_old(world: RetentionWorld) -> None:
    old_us = NOW_US - 20 * DAY_US
    await world.write(make_dead_letters([old_us] * 5))
    table = dead_letters(3)
    assert await world.retention(table).move_due(table) == 5
    await world.write(make_dead_letters([old_us] * 5, published=False))
    assert await world.retention(table).move_due(table) == 0
    assert (await world.rows("dead_letters")).total() == 5


async def test_old_events_that_came_late_stay_as_long_as_others_of_their_days(
    world: RetentionWorld,
) -> None:
    old_us = NOW_US - 20 * DAY_US
    await world.write(make_events([old_us] * 3))
    await world.write(make_events([old_us] * 3, first_offset=3, ingest_us=NOW_US - DAY_US))
    # An old event of a later commit than one that has to stay.
    await world.write(make_events([old_us], first_offset=6))
    table = all_events(3)
    assert await world.retention(table).move_due(table) == 3
    world.now_us += 4 * DAY_US
    assert await world.retention(table).move_due(table) == 4
    archives = await world.archives("events")
    assert archives[0]["last_commit_seq"] == 1
    assert (await world.rows("events")).total() == 0


async def test_what_is_needed_where_it_is_stays(world: RetentionWorld) -> None:
    await fill(world)
    table = events(3, f'{ALL_MOVABLE} AND "offset" % 5 <> 0', [{"action": "purchase"}])
    before = await world.rows("events")
    assert await world.retention(table, pace=SMALL).move_due(table) == 144
    assert await world.rows("events") + await world.archived("events") == before
    assert (await world.archives("events"))[0]["kept"] == '[{"action": "purchase"}]'


async def test_archive_has_the_columns_in_order_of_time_and_says_what_it_is(
    world: RetentionWorld,
) -> None:
    await fill(world)
    table = all_events(3)
    await world.retention(table, pace=SMALL).move_due(table)
    archives = await world.archives("events")
    assert [archive["row_count"] for archive in archives] == [40, 40, 40, 40, 20]
    for archive in archives:
        assert archive["blob"] == f"archive/events/2025-06-12-{archive['archive_id']}.parquet"
        rows = await world.archived_table(archive)
        times = rows["event_time"].to_pylist()
        assert times == sorted(times)
        assert (times[0], times[-1]) == (archive["first_time"], archive["last_time"])
        assert times[-1] < archive["until_time"] <= archive["stored_at"]
        head = await world.blobs.head(archive["blob"])
        assert (head.size_bytes, head.sha256) == (archive["size_bytes"], archive["sha256"])
    content = await world.blobs.get_bytes(archives[0]["blob"], 2**20)
    file = pq.ParquetFile(pa.BufferReader(content))
    assert [(field.name, str(field.type)) for field in file.schema_arrow] == [
        ("user_id", "int64"),
        ("action", "string"),
        ("event_time", "timestamp[us]"),
        ("ingest_time", "timestamp[us]"),
        ("value", "double"),
        ("properties", "string"),
        ("topic", "string"),
        ("partition", "int32"),
        ("offset", "int64"),
        ("commit_seq", "int64"),
    ]
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    facts = file.schema_arrow.metadata
    assert facts[b"trellis.table"] == b"events"
    assert facts[b"trellis.schema_version"] == b"8"
    assert facts[b"trellis.rows"] == b"40"
    assert facts[b"trellis.until_time"] == b"2025-06-12T00:00:00"


async def test_many_rows_of_one_instant_move_in_steps_too(world: RetentionWorld) -> None:
    await world.write(make_events([NOW_US - 9 * DAY_US] * 130))
    # The same messages again, of another log at the same offsets: their keys are the same.
    await world.write(
        make_events([NOW_US - 9 * DAY_US] * 130), make_events([NOW_US - 9 * DAY_US] * 130)
    )
    before = await world.rows("events")
    table = all_events(3)
    assert await world.retention(table, pace=SMALL).move_due(table) == 390
    assert await world.archived("events") == before


async def test_days_move_as_they_pass_and_none_twice(world: RetentionWorld) -> None:
    table = all_events(2)
    written: Counter[tuple[Any, ...]] = Counter()
    for day in range(8):
        start_us = world.now_us // DAY_US * DAY_US
        times_us = [start_us + place * MINUTE_US for place in range(20)]
        await world.write(make_events(times_us, first_offset=day * 20))
        await world.retention(table, pace=SMALL).move_due(table)
        assert (await world.rows("events")).total() == 20 * min(day + 1, 3)
        world.now_us += DAY_US
    written = await world.rows("events") + await world.archived("events")
    assert written.total() == 160
    assert max(written.values()) == 1
    assert await world.retention(table).move_due(table) == 20
    assert await world.retention(table).move_due(table) == 0


@attrs.define
class _StoreThat:
    """A blob store of which one operation does something first."""

    store: Any
    operation: str
    happens: Any

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.store, name)
        if name != self.operation:
            return found

        async def changed(*arguments: Any) -> Any:
            result = await found(*arguments)
            return await self.happens(result)

        return changed


async def test_blob_that_is_not_what_was_stored_costs_no_row(world: RetentionWorld) -> None:
    await fill(world)
    before = await world.rows("events")

    async def damage(content: bytes) -> bytes:
        return content[:-1] + b"?"

    intact = world.blobs
    world.blobs = _StoreThat(intact, "get_bytes", damage)  # type: ignore[assignment]
    table = all_events(3)
    with pytest.raises(DataLossError, match="nothing is deleted"):
        await world.retention(table).move_due(table)
    assert await world.rows("events") == before
    world.blobs = intact
    await world.retention(table, pace=SMALL).move_due(table)
    assert await world.rows("events") + await world.archived("events") == before
    assert sorted(await world.blob_names()) == sorted(
        archive["blob"] for archive in await world.archives("events")
    )


async def test_dead_letter_that_is_replayed_meanwhile_stays(world: RetentionWorld) -> None:
    await world.write(make_dead_letters([NOW_US - 9 * DAY_US] * 3))
    intact = world.blobs

    async def replay(content: bytes) -> bytes:
        mark = Upsert("dead_letters", ("dead_letter_id", "replayed_at"), [("d1", None)])
        await world.write(mark)
        return content

    world.blobs = _StoreThat(intact, "get_bytes", replay)  # type: ignore[assignment]
    table = dead_letters(3)
    with pytest.raises(SchemaMismatchError, match="3 rows were to be deleted, 2 are there"):
        await world.retention(table).move_due(table)
    assert (await world.rows("dead_letters")).total() == 3
    world.blobs = intact
    assert await world.retention(table).move_due(table) == 3
    assert len(await world.blob_names()) == 1


def value_of(metric: Any, table: str = "events") -> float:
    return float(metric.labels(table)._value.get())


async def wait_until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(30):
        while not condition():  # noqa: ASYNC110 - nothing announces a counter
            await trio.sleep(0.01)


async def test_store_that_is_away_costs_no_row_and_is_tried_again(
    world: RetentionWorld,
) -> None:
    await fill(world)
    before = await world.rows("events")
    objects, away = world.folder / "blobs/objects", world.folder / "away"
    objects.rename(away)
    failures, rows = value_of(RETENTION_FAILURES), value_of(RETENTION_ROWS)
    table = all_events(3)
    with pytest.raises(BackendUnavailableError):
        await world.retention(table).move_due(table)
    retention = world.retention(table, pace=SMALL)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(retention.run)

        await wait_until(lambda: value_of(RETENTION_FAILURES) >= failures + 3)
        assert await world.rows("events") == before
        stuck_s = value_of(RETENTION_SUCCESS_TIMESTAMP_SECONDS)
        away.rename(objects)
        world.now_us += MINUTE_US

        await wait_until(lambda: value_of(RETENTION_SUCCESS_TIMESTAMP_SECONDS) > stuck_s)
        nursery.cancel_scope.cancel()
    assert await world.rows("events") + await world.archived("events") == before
    assert value_of(RETENTION_ROWS) == rows + 180
    assert value_of(RETENTION_OLDEST_TIMESTAMP_SECONDS) == (MIDNIGHT_US - 3 * DAY_US) / 1e6
    assert len(await world.blob_names()) == 5


async def test_cancelled_at_any_moment_no_row_is_lost_nor_doubled(world: RetentionWorld) -> None:
    await fill(world, daily=60)
    before = await world.rows("events")
    table = all_events(3)
    for after_ms in range(0, 120, 8):
        with trio.move_on_after(after_ms / 1000):
            await world.retention(table, pace=attrs.evolve(SMALL, step_rows=20)).move_due(table)
        assert await world.rows("events") + await world.archived("events") == before
    await world.retention(table).move_due(table)
    assert await world.rows("events") + await world.archived("events") == before
    assert sorted(await world.blob_names()) == sorted(
        archive["blob"] for archive in await world.archives("events")
    )
    assert {archive["state"] for archive in await world.archives("events")} == {"stored"}


async def test_an_archive_in_the_folder_is_read_as_the_documentation_says(
    world: RetentionWorld, tmp_path: Path
) -> None:
    await world.write(make_dead_letters([NOW_US - 100 * DAY_US + place for place in range(4)]))
    table = dead_letters(90)
    assert await world.retention(table).move_due(table) == 4
    [archive] = await world.archives("dead_letters")
    blob = world.folder / "blobs/objects" / archive["blob"].replace("/", "+")
    rows = tmp_path / "rows.parquet"
    with rows.open("wb") as copy:
        head = ["head", "-c", str(archive["size_bytes"]), str(blob)]
        assert (await trio.run_process(head, stdout=copy)).returncode == 0
    read = await trio.to_thread.run_sync(pq.read_table, rows)
    assert read["payload"].to_pylist() == [b"", b"\xff", b"\xff\xff", b"\xff\xff\xff"]
