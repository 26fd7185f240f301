"""Rows of history and archives as people and machines read them."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

import click

from engine.cli.json_output import print_json, write_json_line
from engine.cli.tables import print_table
from engine.cli.times import show_time
from proto.trellis.v1.history_pb2 import (
    Archive,
    ArchiveState,
    ReadHistoryResponse,
    StoredEvent,
    StoredPrediction,
)

_STATE_PREFIX: Final = "ARCHIVE_STATE_"
_SHOWN_CHARS: Final = 60

Row = StoredEvent | StoredPrediction


def rows_of(reply: ReadHistoryResponse) -> Sequence[Row]:
    """Return a message's rows, of whichever table they are."""
    rows: Sequence[Row] = reply.events or reply.predictions
    return rows


def print_rows(replies: Iterable[ReadHistoryResponse], most: int) -> None:
    """Print a table of the rows, and whether there are more than `most`."""
    rows = [row for reply in replies for row in rows_of(reply)]
    if not rows:
        click.echo("no rows")
        return
    shown = rows[:most]
    if isinstance(rows[0], StoredEvent):
        print_table(
            ("event time", "user", "action", "value", "properties", "commit"),
            [_event_cells(row) for row in shown if isinstance(row, StoredEvent)],
        )
    else:
        print_table(
            ("predicted at", "entity", "model", "version", "prediction", "score", "shadow", "id"),
            [_prediction_cells(row) for row in shown if isinstance(row, StoredPrediction)],
        )
    if len(rows) > most:
        click.echo(f"there are more than these {most}; see --limit, --json, --parquet", err=True)


def print_json_lines(replies: Iterable[ReadHistoryResponse]) -> None:
    """Print a JSON object a line for each row, as they come."""
    for reply in replies:
        lines = (write_json_line(describe_row(row)) for row in rows_of(reply))
        text = "\n".join(lines)
        if text:
            click.echo(text)


def print_archives(archives: Sequence[Archive], as_json: bool) -> None:
    """Print archives as a table or as a JSON array."""
    if as_json:
        print_json([_describe_archive(archive) for archive in archives])
        return
    if not archives:
        click.echo("no archives")
        return
    print_table(
        ("table", "from", "to", "rows", "bytes", "state", "blob"),
        [
            (
                archive.table,
                _optional_time(archive, "first_time"),
                _optional_time(archive, "last_time"),
                f"{archive.row_count:,}",
                f"{archive.size_bytes:,}",
                _state(archive),
                archive.blob,
            )
            for archive in archives
        ],
    )


def describe_row(row: Row) -> dict[str, Any]:
    """Return a row as it is printed for machines; None where there is nothing."""
    if isinstance(row, StoredEvent):
        return {
            "user_id": row.user_id,
            "action": row.action,
            "event_time": show_time(row.event_time),
            "ingest_time": show_time(row.ingest_time),
            "value": row.value if row.HasField("value") else None,
            "properties": _optional_json(row, "properties_json"),
            "topic": row.topic,
            "partition": row.partition,
            "offset": row.offset,
            "commit_seq": row.commit_seq,
        }
    return {
        "prediction_id": row.prediction_id,
        "predicted_at": show_time(row.predicted_at),
        "model": row.model,
        "version": row.version,
        "entity_key": row.entity_key,
        "as_of": show_time(row.as_of),
        "feature_commit_seq": row.feature_commit_seq,
        "inputs": json.loads(row.inputs_json),
        "statuses": row.statuses,
        "prediction": row.prediction,
        "score": row.score,
        "probabilities": _optional_json(row, "probabilities_json"),
        "shadow": row.shadow,
        "request_id": row.request_id if row.HasField("request_id") else None,
        "commit_seq": row.commit_seq,
    }


def _event_cells(event: StoredEvent) -> tuple[object, ...]:
    return (
        show_time(event.event_time),
        event.user_id,
        event.action,
        event.value if event.HasField("value") else None,
        _cut(event.properties_json),
        event.commit_seq,
    )


def _prediction_cells(made: StoredPrediction) -> tuple[object, ...]:
    return (
        show_time(made.predicted_at),
        made.entity_key,
        made.model,
        made.version,
        _cut(made.prediction),
        f"{made.score:.4f}",
        "yes" if made.shadow else "no",
        made.prediction_id,
    )


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}… ({len(text)} characters)"


def _describe_archive(archive: Archive) -> dict[str, Any]:
    return {
        "archive_id": archive.archive_id,
        "table": archive.table,
        "state": _state(archive),
        "planned_at": show_time(archive.planned_at),
        "stored_at": _optional_time(archive, "stored_at"),
        "first_time": _optional_time(archive, "first_time"),
        "last_time": _optional_time(archive, "last_time"),
        "until_time": show_time(archive.until_time),
        "last_commit_seq": archive.last_commit_seq,
        "rows": archive.row_count,
        "blob": archive.blob,
        "size_bytes": archive.size_bytes,
        "sha256": archive.sha256 or None,
        "kept": json.loads(archive.kept_json),
    }


def _state(archive: Archive) -> str:
    return ArchiveState.Name(archive.state).removeprefix(_STATE_PREFIX).lower()


def _optional_time(archive: Archive, field: str) -> str | None:
    return show_time(getattr(archive, field)) if archive.HasField(field) else None


def _optional_json(row: Row, field: str) -> Any:
    return json.loads(getattr(row, field)) if row.HasField(field) else None
