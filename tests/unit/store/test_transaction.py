"""Merging a group's operations keeps each table's order and the last row of a key."""

import pyarrow as pa

from engine.records import Append, Upsert, WriteRequest
from engine.store.catalog import Table
from engine.store.transaction import AppendStep, UpsertStep, plan_steps

CATALOG = {
    "log": Table("log", ("a", "commit_seq"), frozenset({"a"}), None),
    "latest": Table("latest", ("k", "v", "w", "commit_seq"), frozenset({"k"}), "k"),
}


def batch(*values: int) -> pa.RecordBatch:
    return pa.record_batch({"a": pa.array(values, pa.int64())})


def test_appends_of_one_table_become_one_step_in_request_order() -> None:
    first, second = batch(1), batch(2)
    requests = [WriteRequest((Append("log", first),)), WriteRequest((Append("log", second),))]
    assert plan_steps(requests, CATALOG) == (AppendStep("log", (first, second)),)


def test_appends_of_another_schema_keep_their_place() -> None:
    other = pa.record_batch({"a": pa.array([2], pa.int32())})
    requests = [WriteRequest((Append("log", data),)) for data in (batch(1), other, batch(3))]
    steps = plan_steps(requests, CATALOG)
    assert [step.batches[0]["a"].to_pylist() for step in steps] == [[1], [2], [3]]


def test_the_last_row_of_a_key_wins_within_a_group() -> None:
    requests = [
        WriteRequest((Upsert("latest", ("k", "v"), [("x", 1), ("y", 1)]),)),
        WriteRequest((Upsert("latest", ("k", "v"), [("x", 2)]),)),
    ]
    assert plan_steps(requests, CATALOG) == (
        UpsertStep("latest", ("k", "v"), (("x", 2), ("y", 1))),
    )


def test_upserts_of_other_columns_are_steps_of_their_own_in_order() -> None:
    requests = [
        WriteRequest((Upsert("latest", ("k", "v"), [("x", 1)]),)),
        WriteRequest((Upsert("latest", ("k", "w"), [("x", 2)]),)),
        WriteRequest((Upsert("latest", ("k", "v"), [("x", 3)]),)),
    ]
    assert [(step.columns, step.rows) for step in plan_steps(requests, CATALOG)] == [
        (("k", "v"), (("x", 1),)),
        (("k", "w"), (("x", 2),)),
        (("k", "v"), (("x", 3),)),
    ]


def test_an_upsert_without_rows_is_no_step() -> None:
    assert plan_steps([WriteRequest((Upsert("latest", ("k", "v"), []),))], CATALOG) == ()
