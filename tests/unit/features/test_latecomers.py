"""Rows of big uploads: with their entity when it is needed, in commit order."""

from pathlib import Path

import pyarrow as pa
import pytest
import trio

from engine.config import OnlineConfig
from engine.features import Decline, OnlineStore
from engine.records import (
    FEATURE_HISTORY_SCHEMA,
    LATEST_ROWS_SCHEMA,
    Append,
    AppendStream,
    Commit,
    LatestRows,
    WriteRequest,
)
from engine.uploads.row_file import RowFile
from tests.unit.features import naive
from tests.unit.features.world import FEATURE_SET, SECOND, upload_batch

NOW_US = 1_700_000_000 * SECOND
MANY = 6_000
PLAN = FEATURE_SET.select(("plan",))


@pytest.fixture
def online():
    return OnlineStore(FEATURE_SET, OnlineConfig(), lambda: NOW_US)


def big(commit_seq, plan, event_us=NOW_US, entities=MANY):
    columns = [range(entities), [event_us] * entities, [f'{{"plan":"{plan}"}}'] * entities]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, LATEST_ROWS_SCHEMA, strict=True)]
    rows = pa.RecordBatch.from_arrays(arrays, schema=LATEST_ROWS_SCHEMA)
    stream = AppendStream(
        "feature_history",
        FEATURE_HISTORY_SCHEMA,
        RowFile(Path(), "profiles"),
        entities,
        LatestRows("profiles", rows),
    )
    return Commit(commit_seq, (WriteRequest((stream,)),))


def small(commit_seq, plan, key=1):
    row = naive.Upload(key, "profiles", f'{{"plan":"{plan}"}}', NOW_US)
    return Commit(commit_seq, (WriteRequest((Append("feature_history", upload_batch([row])),)),))


def plan_of(online, key=1):
    row = online.read(key, PLAN, NOW_US)
    assert not isinstance(row, Decline)
    return row.values[0].value


def test_big_upload_is_read_at_once_without_being_handed_out(online):
    online.apply(big(1, "a"))

    assert len(online) == 0
    assert plan_of(online) == "a"
    assert len(online) == 1
    assert plan_of(online, MANY) is None


@pytest.mark.parametrize("later", [small, big])
def test_among_equal_times_the_later_commit_wins(online, later):
    online.apply(big(1, "a"))
    online.apply(later(2, "b"))

    assert plan_of(online) == "b"


def test_older_row_of_a_later_commit_loses(online):
    online.apply(small(1, "a"))
    online.apply(big(2, "b", NOW_US - SECOND))

    assert plan_of(online) == "a"
    assert plan_of(online, 2) == "b"


async def test_rows_are_handed_out_bit_by_bit(online):
    online.apply(big(1, "a"))
    online.apply(big(2, "b"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(online.run)
        with trio.fail_after(10):
            while online.has_latecomers:
                assert plan_of(online, MANY - 1) == "b"
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()

    assert len(online) == MANY
    assert plan_of(online) == "b"
