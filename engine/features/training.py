"""Training sets: the features that entities had at given times, by SQL over the data file."""

from collections.abc import Sequence

import attrs
import numpy as np
import pyarrow as pa

from engine.errors import InvalidArgumentError
from engine.features.aggregate_sql import Items, Raws, cell_sql
from engine.features.definitions import EventFeature, ExpressionFeature, UploadFeature
from engine.features.expression_sql import compile_sql
from engine.features.history import write_event_items
from engine.features.selection import Selection
from engine.features.source import HistoryReader
from engine.features.sql import quote_text
from engine.features.uploaded import UploadedColumns
from engine.store.queries import load_queries

_QUERIES = load_queries("engine.features")

STATUS_SUFFIX = "__status"

UPLOADED_SQL = {
    "int64": (
        "CASE WHEN json_type({text}) IN ('BIGINT', 'UBIGINT') THEN TRY_CAST({text} AS BIGINT) END"
    ),
    "double": (
        "CASE WHEN json_type({text}) IN ('BIGINT', 'UBIGINT', 'DOUBLE') "
        "AND isfinite(TRY_CAST({text} AS DOUBLE)) "
        "THEN TRY_CAST({text} AS DOUBLE) + 0.0::DOUBLE END"
    ),
    "string": ("CASE WHEN json_type({text}) = 'VARCHAR' THEN json_extract_string({text}, '$') END"),
    "bool": (
        "CASE WHEN json_type({text}) = 'BOOLEAN' THEN json_extract_string({text}, '$') = 'true' END"
    ),
}
"""From JSON text to the declared type of a column of a dataset; the same rules as `uploaded`."""


async def fetch_training_set(
    reader: HistoryReader,
    selection: Selection,
    keys: pa.Table,
    commit_seq: int,
    *,
    with_status: bool,
    timeout_s: float | None,
) -> pa.Table:
    """Fetch the features of every label; `FeatureStore.training_set` says how."""
    labels = _number_labels(keys)
    times_us = labels["t"].to_numpy()
    newest_us = int(times_us.max()) if len(times_us) else 0
    oldest_us = int(times_us.min()) if len(times_us) else 0
    query = write_training_set(selection, oldest_us, with_status=with_status)
    parameters = {"commit_seq": commit_seq, "newest_us": newest_us}
    result = await reader.fetch_arrow(
        query, parameters, timeout_s=timeout_s, tables={"labels": labels}
    )
    names = list(selection.names)
    if with_status:
        names = [part for name in names for part in (name, name + STATUS_SUFFIX)]
    columns = dict(zip(names, result.columns, strict=True))
    return pa.table({"entity_key": keys["entity_key"], "event_time": keys["event_time"], **columns})


def write_training_set(selection: Selection, oldest_us: int, *, with_status: bool) -> str:
    """Write the query for a selection.

    It takes the parameters commit_seq and newest_us, the time of the newest label.

    Args:
      oldest_us: the time of the oldest label, so that events that no window reaches are not read.
    """
    draft = _Draft(base=[], parts=[], joins=[])
    events = {f.name: f for f in selection.base if isinstance(f, EventFeature)}
    if events:
        _draft_events(draft, selection, [*events.values()], oldest_us)
    for columns in UploadedColumns.of(
        feature for feature in selection.base if isinstance(feature, UploadFeature)
    ):
        _draft_uploads(draft, selection, columns)
    steps = [_write_step(number, selection, f) for number, f in enumerate(selection.expressions)]
    return _QUERIES["training_set"].format(
        parts=",\n".join(draft.parts),
        base="".join(f",\n        {column}" for column in draft.base),
        joins="\n    ".join(draft.joins),
        steps="".join(f",\n{step}" for step in steps),
        output=",\n    ".join(_write_output(selection, with_status=with_status)),
        last_step=f"step{len(steps)}",
    )


@attrs.frozen
class _Draft:
    """Pieces of the query, collected source by source."""

    parts: list[str]
    """Common table expressions."""
    joins: list[str]
    """Joins of the labels to them."""
    base: list[str]
    """Columns: of each base feature `value<slot>` and `stale<slot>`."""

    def add_feature(self, slot: int, value: str, event_time: str, ttl_us: int | None) -> None:
        stale = "FALSE"
        if ttl_us is not None:
            stale = f"({value}) IS NOT NULL AND coalesce(t - {event_time} > {ttl_us}, FALSE)"
        self.base.extend((f"{value} AS value{slot}", f"{stale} AS stale{slot}"))


def _draft_events(
    draft: _Draft, selection: Selection, features: Sequence[EventFeature], oldest_us: int
) -> None:
    frames: dict[tuple[int, int] | None, str] = {}

    def over_frame(call: str, condition: str | None, feature: EventFeature) -> str:
        window = (
            None
            if feature.window_us is None or feature.tile_us is None
            else (feature.window_us, feature.tile_us)
        )
        frame = frames.setdefault(window, f"frame{len(frames)}")
        return f"{call}{f' FILTER (WHERE {condition})' if condition else ''} OVER {frame}"

    items = Items(features)
    raws = Raws(over_frame)
    for feature in features:
        cell = cell_sql(feature, items.of(feature.actions, feature.column), raws)
        value = f"(t - {cell.value})::DOUBLE / 1e6::DOUBLE" if feature.moves else cell.value
        draft.add_feature(
            selection.slots[feature.name],
            f"CASE WHEN first_us <= t THEN {value} END",
            cell.event_time,
            feature.ttl_us,
        )
    restriction = "user_id IN (SELECT entity_key FROM labels)"
    starts_us = [feature.window_start_us(oldest_us) for feature in features]
    reached_us = [start_us for start_us in starts_us if start_us is not None]
    if len(reached_us) == len(starts_us):
        restriction += f"\n    AND event_time >= make_timestamp({min(reached_us)})"
    draft.parts.append(
        _QUERIES["event_parts"].format(
            event_items=write_event_items(features, items, restriction),
            item_names="".join(f", {name}" for name in items.names),
            item_nulls=", NULL" * len(items.names),
            raws=raws.sql,
            frames=", ".join(_write_frame(name, window) for window, name in frames.items()),
        )
    )
    draft.joins.append("LEFT JOIN raws ON raws.label = labels.label")
    draft.joins.append("LEFT JOIN first_events ON first_events.user_id = labels.entity_key")


def _write_frame(frame: str, window: tuple[int, int] | None) -> str:
    if window is None:
        return _QUERIES["all_time_frame"].format(frame=frame)
    window_us, tile_us = window
    return _QUERIES["event_frame"].format(frame=frame, window_us=window_us, tile_us=tile_us)


def _draft_uploads(draft: _Draft, selection: Selection, columns: UploadedColumns) -> None:
    # Named by number, because a dataset may be named like anything.
    name = f"upload{len(draft.parts)}"
    draft.parts.append(
        _QUERIES["upload_parts"].format(
            name=name,
            dataset=quote_text(columns.dataset),
            paths=", ".join(quote_text(f'$."{column}"') for column, _ in columns.columns),
            texts="".join(
                f", texts[{number + 1}]::VARCHAR AS text{number}"
                for number in range(len(columns.columns))
            ),
        )
    )
    draft.joins.append(f"LEFT JOIN {name} ON {name}.label = labels.label")
    for feature in selection.base:
        if isinstance(feature, UploadFeature) and feature.dataset == columns.dataset:
            text = f"{name}.text{columns.position(feature)}"
            draft.add_feature(
                selection.slots[feature.name],
                UPLOADED_SQL[feature.type].format(text=text),
                f"{name}.event_us",
                feature.ttl_us,
            )


def _write_step(number: int, selection: Selection, feature: ExpressionFeature) -> str:
    slot = selection.slots[feature.name]
    columns = {name: f"value{selection.slots[name]}" for name in feature.inputs}
    stale = " OR ".join(f"stale{selection.slots[name]}" for name in feature.inputs) or "FALSE"
    return _QUERIES["expression_step"].format(
        step=number + 1,
        before=number,
        slot=slot,
        value=compile_sql(feature.node, columns),
        stale=stale,
    )


def _write_output(selection: Selection, *, with_status: bool) -> list[str]:
    output: list[str] = []
    for name in selection.names:
        slot = selection.slots[name]
        output.append(f"value{slot}")
        if with_status:
            output.append(
                f"CASE WHEN value{slot} IS NULL THEN 'MISSING' "
                f"WHEN stale{slot} THEN 'STALE' ELSE 'PRESENT' END AS status{slot}"
            )
    return output


def _number_labels(keys: pa.Table) -> pa.Table:
    expected = {"entity_key": pa.int64(), "event_time": pa.timestamp("us")}
    for name, wanted in expected.items():
        if name not in keys.column_names:
            raise InvalidArgumentError("keys", f"there is no column {name!r}")
        if keys.schema.field(name).type != wanted:
            found = keys.schema.field(name).type
            raise InvalidArgumentError("keys", f"column {name!r} is {found}, not {wanted}")
        if keys[name].null_count:
            raise InvalidArgumentError("keys", f"column {name!r} holds NULLs")
    return pa.table(
        {
            "label": pa.array(np.arange(keys.num_rows, dtype=np.int64)),
            "entity_key": keys["entity_key"],
            "t": keys["event_time"].cast(pa.int64()),
        }
    )
