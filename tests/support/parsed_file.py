"""Parses a file as a worker does, and gathers what became of its rows."""

import datetime
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import msgspec

from engine.records import FEATURE_HISTORY_SCHEMA
from engine.tasks.parsing import Dataset, Format, Reject, Tally, TimeRules, open_upload

RECEIVED = datetime.datetime(2025, 6, 1, 12, tzinfo=datetime.UTC)
RULES = TimeRules.at(int(RECEIVED.timestamp()) * 1_000_000)
PROFILES = Dataset(
    "profiles",
    "user_id",
    "updated_at",
    (("age", "int64"), ("member", "bool"), ("plan", "string"), ("score", "double")),
)
NAMES_OF_TYPES = {
    Format.NDJSON: "application/x-ndjson",
    Format.JSON: "application/json",
    Format.CSV: "text/csv",
    Format.PARQUET: "application/vnd.apache.parquet",
}

Row = tuple[int, datetime.datetime, str]
"""Key, time, and the text of the other columns."""


@attrs.frozen
class Parsed:
    """A file's rows, in its order."""

    rows: list[Row]
    rejects: list[Reject]
    format: Format
    unknown: tuple[str, ...]
    more_unknown: bool

    @property
    def fields(self) -> list[dict[str, Any]]:
        """The other columns of each row."""
        return [msgspec.json.decode(text) for _, _, text in self.rows]

    @property
    def problems(self) -> list[tuple[int, str, str]]:
        """Row, column and reason of each reject."""
        return [(reject.row, reject.column, str(reject.reason)) for reject in self.rejects]


def parse(
    content: bytes | Iterable[bytes],
    content_type: str | Format = "",
    *,
    filename: str = "",
    dataset: Dataset = PROFILES,
    rules: TimeRules = RULES,
) -> Parsed:
    """Parse a file; it was received at `RECEIVED`."""
    chunks = [content] if isinstance(content, bytes) else content
    size_bytes = len(content) if isinstance(content, bytes) else 0
    if isinstance(content_type, Format):
        content_type = NAMES_OF_TYPES[content_type]
    rows: list[Row] = []
    rejects: list[Reject] = []
    tally = Tally()
    with (
        tempfile.TemporaryDirectory() as scratch,
        open_upload(
            chunks,
            dataset=dataset,
            rules=rules,
            filename=filename,
            content_type=content_type,
            scratch=Path(scratch),
        ) as upload,
    ):
        for batch in upload.batches:
            assert batch.rows.schema == FEATURE_HISTORY_SCHEMA
            batch.rows.validate(full=True)
            assert batch.row_count <= 10_000
            tally.add(batch, size_bytes)
            assert set(batch.rows["dataset"].to_pylist()) <= {dataset.name}
            rows += zip(
                batch.rows["entity_key"].to_pylist(),
                batch.rows["event_time"].to_pylist(),
                batch.rows["fields"].to_pylist(),
                strict=True,
            )
            rejects += batch.rejects
        assert not list(Path(scratch).iterdir())
    assert (tally.rows_accepted, tally.rows_rejected) == (len(rows), len(rejects))
    assert [reject.row for reject in rejects] == sorted({reject.row for reject in rejects})
    return Parsed(rows, rejects, upload.format, upload.unknown.names, upload.unknown.are_more)
