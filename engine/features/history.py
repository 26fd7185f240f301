"""Features of some entities at one time, from the data file: the answer that is always exact."""

from collections.abc import Mapping, Sequence

from engine.features.aggregate_sql import Items, Raws, cell_sql, needs_place
from engine.features.definitions import EventFeature, UploadFeature
from engine.features.selection import Selection
from engine.features.source import HistoryReader
from engine.features.sql import quote_texts
from engine.features.uploaded import UploadedColumns
from engine.features.values import NO_CELL, Cell
from engine.store.queries import load_queries

_QUERIES = load_queries("engine.features")

PLACE_SQL = """row_number() OVER (
        PARTITION BY user_id ORDER BY event_time, commit_seq, partition, "offset"
    )"""


def write_event_items(features: Sequence[EventFeature], items: Items, restriction: str) -> str:
    """Return the query for the items of the features.

    It takes the parameters commit_seq and newest_us and those of `restriction`.
    """
    return _QUERIES["event_items"].format(
        place=PLACE_SQL if needs_place(features) else "NULL::BIGINT",
        items=items.sql,
        restriction=restriction,
    )


async def fetch_cells(
    reader: HistoryReader,
    selection: Selection,
    entity_keys: Sequence[int],
    as_of_us: int,
    commit_seq: int,
    *,
    timeout_s: float | None = None,
) -> Mapping[int, list[Cell]]:
    """Fetch the cells of entities at one time, as of a commit.

    Args:
      timeout_s: for each query.
    Returns: by entity key, one cell for each of `selection.base`.
    Raises:
      StoreError: a query failed.
      DeadlineExceededError: a query took longer than `timeout_s`.
    Cancellation: the query is interrupted.
    """
    cells: dict[int, list[Cell]] = {key: [NO_CELL] * len(selection.base) for key in entity_keys}
    parameters = {
        "commit_seq": commit_seq,
        "newest_us": as_of_us,
        "keys": list(cells),
    }
    events = {
        slot: feature
        for slot, feature in enumerate(selection.base)
        if isinstance(feature, EventFeature)
    }
    if events:
        sql = _write_cells_at([*events.values()], as_of_us)
        rows = await reader.fetch_rows(sql, parameters, timeout_s=timeout_s)
        for key, *values in rows:
            for position, slot in enumerate(events):
                value, event_us = values[2 * position : 2 * position + 2]
                cells[key][slot] = NO_CELL if value is None else (value, event_us)
    uploads = {
        slot: feature
        for slot, feature in enumerate(selection.base)
        if isinstance(feature, UploadFeature)
    }
    if uploads:
        columns = {part.dataset: part for part in UploadedColumns.of(uploads.values())}
        sql = _QUERIES["uploaded_at"].format(
            datasets=quote_texts(columns),
            restriction="entity_key IN (SELECT unnest($keys::BIGINT[]))",
        )
        rows = await reader.fetch_rows(sql, parameters, timeout_s=timeout_s)
        for key, dataset, text, event_us in rows:
            row = columns[dataset].decode(text)
            for slot, feature in uploads.items():
                if feature.dataset == dataset:
                    value = row[columns[dataset].position(feature)]
                    cells[key][slot] = NO_CELL if value is None else (value, event_us)
    return cells


def _write_cells_at(features: Sequence[EventFeature], as_of_us: int) -> str:
    def over_window(call: str, condition: str | None, feature: EventFeature) -> str:
        start_us = feature.window_start_us(as_of_us)
        inside = None if start_us is None else f"t >= {start_us}"
        conditions = " AND ".join(part for part in (condition, inside) if part)
        return f"{call} FILTER (WHERE {conditions})" if conditions else call

    items = Items(features)
    raws = Raws(over_window)
    cells = [
        cell_sql(feature, items.of(feature.actions, feature.column), raws) for feature in features
    ]
    return _QUERIES["cells_at"].format(
        event_items=write_event_items(
            features, items, "user_id IN (SELECT unnest($keys::BIGINT[]))"
        ),
        raws=raws.sql,
        cells="".join(
            f",\n    {cell.value} AS value{number},\n    {cell.event_time} AS event_us{number}"
            for number, cell in enumerate(cells)
        ),
    )
