"""Rows of history and archives as messages."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from engine.history import EVENTS, PREDICTIONS, Archive, ArchiveState, HistoryTable
from engine.services.feature_rows import set_time
from proto.trellis.v1 import history_pb2 as pb

_STATE = {
    ArchiveState.PLANNED: pb.ARCHIVE_STATE_PLANNED,
    ArchiveState.STORED: pb.ARCHIVE_STATE_STORED,
}


def encode_archive(archive: Archive) -> pb.Archive:
    """Return an archive as a message."""
    message = pb.Archive(
        archive_id=archive.archive_id,
        table=archive.table_name,
        state=_STATE[archive.state],
        last_commit_seq=archive.last_commit_seq,
        row_count=archive.row_count or 0,
        blob=archive.blob,
        size_bytes=archive.size_bytes or 0,
        sha256=archive.sha256 or "",
        kept_json=archive.kept_json,
    )
    set_time(message.planned_at, archive.planned_us)
    set_time(message.until_time, archive.until_us)
    for timestamp, time_us in (
        ("stored_at", archive.stored_us),
        ("first_time", archive.first_us),
        ("last_time", archive.last_us),
    ):
        if time_us is not None:
            set_time(getattr(message, timestamp), time_us)
    return message


def encode_rows(table: HistoryTable, rows: pa.RecordBatch) -> pb.ReadHistoryResponse:
    """Return rows of a table as a message; as many as may hold the loop up."""
    return _ENCODE[table](rows)


def _encode_events(rows: pa.RecordBatch) -> pb.ReadHistoryResponse:
    response = pb.ReadHistoryResponse()
    add = response.events.add
    for user_id, action, event_us, ingest_us, value, properties, *place in _values(rows):
        topic, partition, offset, commit_seq = place
        event = add(
            user_id=user_id,
            action=action,
            value=value,
            properties_json=properties,
            topic=topic,
            partition=partition,
            offset=offset,
            commit_seq=commit_seq,
        )
        set_time(event.event_time, event_us)
        set_time(event.ingest_time, ingest_us)
    return response


def _encode_predictions(rows: pa.RecordBatch) -> pb.ReadHistoryResponse:
    response = pb.ReadHistoryResponse()
    add = response.predictions.add
    for prediction_id, predicted_us, model, version, entity_key, as_of_us, *rest in _values(rows):
        seq, inputs, statuses, told, score, probabilities, shadow, request_id, commit_seq = rest
        prediction = add(
            prediction_id=prediction_id,
            model=model,
            version=version,
            entity_key=entity_key,
            feature_commit_seq=seq,
            inputs_json=inputs,
            statuses=statuses,
            prediction=told,
            score=score,
            probabilities_json=probabilities,
            shadow=shadow,
            request_id=request_id,
            commit_seq=commit_seq,
        )
        set_time(prediction.predicted_at, predicted_us)
        set_time(prediction.as_of, as_of_us)
    return response


def _values(rows: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    """Yield the rows as tuples, times in microseconds since 1970."""
    columns = (
        column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        for column in rows.columns
    )
    return zip(*(column.to_pylist() for column in columns), strict=True)


_ENCODE: Mapping[HistoryTable, Callable[[pa.RecordBatch], pb.ReadHistoryResponse]] = {
    EVENTS: _encode_events,
    PREDICTIONS: _encode_predictions,
}
