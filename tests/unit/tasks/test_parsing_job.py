"""The job `process_upload`, with an engine that only takes notes."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pyarrow as pa
import pytest

from engine.tasks.errors import PermanentJobError
from engine.tasks.parsing import Batch, Reject
from engine.tasks.process_upload import MAX_REJECTS, run
from tests.support.parsed_file import RULES


@attrs.define
class NotedJob:
    """What a job is given, and what it did."""

    content: bytes
    payload: Mapping[str, Any]
    scratch: Path
    staged: list[pa.RecordBatch] = attrs.field(factory=list)
    rejects: list[Reject] = attrs.field(factory=list)
    counter: int = 0
    total: int | None = None
    notes: list[str] = attrs.field(factory=list)

    def advance(
        self, amount: int = 1, *, total: int | None = None, note: str | None = None
    ) -> None:
        self.counter += amount
        self.total = total or self.total
        self.notes += [note] if note is not None else []

    def read_upload(self, upload_id: str) -> Iterator[bytes]:
        assert upload_id == "u1"
        for start in range(0, len(self.content), 1_000):
            yield self.content[start : start + 1_000]

    def stage_rows(self, upload_id: str, parts: Iterable[Batch]) -> None:
        assert upload_id == "u1"
        for part in parts:
            self.staged += [part.rows] if part.rows.num_rows else []
            self.rejects += part.rejects


def job_of(content: str, tmp_path: Path, content_type: str = "text/csv") -> NotedJob:
    payload = {
        "upload_id": "u1",
        "filename": "profiles",
        "content_type": content_type,
        "size_bytes": len(content),
        "received_at_us": RULES.newest_us - 300_000_000,
        "dataset": {
            "name": "profiles",
            "entity_key": "user_id",
            "time_column": "updated_at",
            "columns": {"plan": "string", "age": "int64"},
        },
    }
    return NotedJob(content.encode(), payload, tmp_path)


HEADER = "user_id,updated_at,plan,age,note\n"
GOOD = "1,2025-05-01,free,3,x\n"


def test_rows_and_rejects_are_staged_and_counted(tmp_path: Path) -> None:
    job = job_of(HEADER + GOOD * 5 + "1,2025-05-01,free,x,\n1\n" + GOOD, tmp_path)
    assert run(job) == {
        "format": "csv",
        "rows_accepted": 6,
        "rows_rejected": 2,
        "rejects_by_reason": {"column_count": 1, "value_type": 1},
        "unknown_columns": ["'note'"],
        "more_unknown_columns": False,
    }
    assert (
        pa.Table.from_batches(job.staged)["fields"].to_pylist() == ['{"age":3,"plan":"free"}'] * 6
    )
    assert [(reject.row, reject.reason) for reject in job.rejects] == [
        (7, "value_type"),
        (8, "column_count"),
    ]
    assert job.counter == job.total == len(job.content)
    assert job.notes[-1] == "8 rows"
    assert not list(tmp_path.iterdir())


def test_of_many_rejects_the_first_are_staged_and_all_counted(tmp_path: Path) -> None:
    job = job_of(HEADER + GOOD + "x\n" * 30_000 + GOOD, tmp_path)
    result = run(job)
    assert (result["rows_accepted"], result["rows_rejected"]) == (2, 30_000)
    assert [reject.row for reject in job.rejects] == list(range(3, MAX_REJECTS + 3))


def test_a_file_without_a_good_row_fails_with_a_summary(tmp_path: Path) -> None:
    job = job_of(HEADER + "1,bad,,,\n" * 3 + "1,2025-05-01\n" + ",2025-05-01,,,\n", tmp_path)
    with pytest.raises(PermanentJobError) as failed:
        run(job)
    assert failed.value.code == "no_good_rows"
    message = str(failed.value)
    assert "none of 5 rows is good: 3 timestamp_format (first updated_at of row 2: " in message
    assert "1 column_count (first row 5: the row has 2 fields, the header 5" in message
    assert not any(batch.num_rows for batch in job.staged)
    assert len(job.rejects) == 5


def test_a_file_that_cannot_be_read_fails_for_good(tmp_path: Path) -> None:
    job = job_of("[1, 2", tmp_path, "application/json")
    with pytest.raises(PermanentJobError) as failed:
        run(job)
    assert failed.value.code == "malformed_json"


def test_a_file_without_rows_succeeds(tmp_path: Path) -> None:
    job = job_of("[]", tmp_path, "application/json")
    assert run(job)["rows_accepted"] == 0
    assert not job.staged


def test_a_hopeless_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    job = job_of(HEADER + "x\n" * 300_000 + GOOD, tmp_path)
    with pytest.raises(PermanentJobError, match=r"none of 1[0-9]{5} rows is good"):
        run(job)
    assert job.counter < len(job.content)
