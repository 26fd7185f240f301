"""What the online store keeps is not gone over by the garbage collector again and again."""

import gc
from pathlib import Path

import pyarrow as pa
import pytest
import trio

from engine.config import OnlineConfig
from engine.features import FeatureRow, OnlineStore
from engine.features.collector import CollectorRelief
from engine.records import (
    EVENTS_SCHEMA,
    FEATURE_HISTORY_SCHEMA,
    LATEST_ROWS_SCHEMA,
    Append,
    AppendStream,
    Commit,
    LatestRows,
    WriteRequest,
)
from engine.uploads.row_file import RowFile
from tests.unit.features.world import FEATURE_SET, SECOND

NOW_US = 1_700_000_000 * SECOND
STEP_BYTES = 4 << 20


@pytest.fixture(autouse=True)
def nothing_set_apart():
    gc.unfreeze()
    yield
    gc.unfreeze()


def test_objects_are_set_apart_as_often_as_enough_has_come():
    relief = CollectorRelief()
    relief.grow_to(STEP_BYTES - 1)
    assert gc.get_freeze_count() == 0
    relief.grow_to(STEP_BYTES)
    first = gc.get_freeze_count()
    assert first > 0

    kept = [[] for _ in range(1_000)]
    relief.grow_to(2 * STEP_BYTES - 1)
    assert gc.get_freeze_count() == first
    relief.grow_to(2 * STEP_BYTES)
    assert gc.get_freeze_count() >= first + len(kept)


def test_garbage_is_collected_and_not_set_apart():
    class Link:
        pass

    relief = CollectorRelief()
    relief.set_apart(0)
    before = gc.get_freeze_count()
    for _ in range(1_000):
        one = Link()
        one.itself = one
    del one
    relief.set_apart(0)

    assert gc.get_freeze_count() < before + 500


async def test_rows_of_a_big_upload_leave_little_for_the_collector_to_go_over():
    entities = 30_000
    columns = [range(entities), [NOW_US] * entities, ['{"plan":"a"}'] * entities]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, LATEST_ROWS_SCHEMA, strict=True)]
    rows = pa.RecordBatch.from_arrays(arrays, schema=LATEST_ROWS_SCHEMA)
    stream = AppendStream(
        "feature_history",
        FEATURE_HISTORY_SCHEMA,
        RowFile(Path(), "profiles"),
        entities,
        LatestRows("profiles", rows),
    )
    online = OnlineStore(FEATURE_SET, OnlineConfig(), lambda: NOW_US)
    gc.collect()
    gc.freeze()

    online.apply(Commit(1, (WriteRequest((stream,)),)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(online.run)
        with trio.fail_after(30):
            while online.has_latecomers:
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()

    assert len(online) == entities
    assert len(gc.get_objects()) < entities


def test_entities_that_are_only_read_leave_little_for_the_collector_to_go_over():
    entities = 10_000
    events = [
        {
            "user_id": user,
            "action": "view",
            "event_time": NOW_US - SECOND,
            "ingest_time": NOW_US,
            "topic": "events",
            "partition": 0,
            "offset": user,
        }
        for user in range(entities)
    ]
    batch = pa.RecordBatch.from_pylist(events, schema=EVENTS_SCHEMA)
    del events
    online = OnlineStore(FEATURE_SET, OnlineConfig(), lambda: NOW_US)
    online.apply(Commit(1, (WriteRequest((Append("events", batch),)),)))
    gc.collect()
    gc.freeze()

    selection = FEATURE_SET.select(["any_60s", "views_total", "last_action"])
    for user in range(entities):
        assert isinstance(online.read(user, selection, NOW_US), FeatureRow)

    assert len(gc.get_objects()) < entities
