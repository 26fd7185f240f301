"""An entity's last row is that of the latest time, and of equal times the one that came last."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.records import FEATURE_HISTORY_SCHEMA, LATEST_ROWS_SCHEMA
from engine.uploads import latest
from engine.uploads.latest import compute_latest

INT64 = st.sampled_from([-(2**63), -1, 0, 1, 2, 2**63 - 1])
ROW = st.tuples(INT64, st.sampled_from([-(2**62), 0, 1, 2]))


def batch(rows):
    keys, times, texts = zip(*rows, strict=True) if rows else ((), (), ())
    columns = [keys, ["d"] * len(keys), texts, times]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, FEATURE_HISTORY_SCHEMA, strict=True)]
    return pa.record_batch(arrays, schema=FEATURE_HISTORY_SCHEMA)


@pytest.fixture(scope="module", autouse=True)
def few_rows_at_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latest, "_ROWS_AT_ONCE", 3)
        yield


@settings(deadline=None)  # the first call imports
@given(st.lists(st.lists(ROW, max_size=5), max_size=6))
def test_the_last_row_of_each_entity_wins(parts):
    number = iter(range(10**6))
    parts = [
        [(key, time, None if (n := next(number)) % 5 == 0 else str(n)) for key, time in part]
        for part in parts
    ]
    expected = {}
    for key, time, text in (row for part in parts for row in part):
        if key not in expected or time >= expected[key][0]:
            expected[key] = (time, text)

    found = compute_latest(map(batch, parts))

    assert found.schema == LATEST_ROWS_SCHEMA
    rows = zip(*(column.to_pylist() for column in found.columns), strict=True)
    assert [tuple(row) for row in rows] == [(key, *expected[key]) for key in sorted(expected)]
