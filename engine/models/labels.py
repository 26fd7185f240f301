"""Labelled observations: of whom a training set has rows, as of when, and what came after.

Leakage is impossible by construction: the features of an observation are read as of its time t,
which takes in events at or before t; its label takes in events after t only, and is complete, since
t lies the label's `within` before the end of history. An uploaded outcome is observed `within`
before its time.
"""

import datetime
from collections.abc import Mapping
from typing import Any

import attrs
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.config import LabelSpec, ObservationsSpec, UploadSpec
from engine.features import HistoryReader
from engine.features.training import UPLOADED_SQL
from engine.store.queries import load_queries

_QUERIES = load_queries("engine.models")
_SECOND_US = 1_000_000
_HASHES = 2**64

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_LABEL_SQL = {**UPLOADED_SQL, "int64": UPLOADED_SQL["double"]}
"""A whole number as an outcome is a number like any other."""


@attrs.frozen
class History:
    """The part of the data file that is looked at: commits up to one, events up to a time."""

    commit_seq: int
    end_us: int
    """Events up to here are complete, microseconds UTC."""
    begin_us: int = 0
    """Nobody is observed before: what an observation rests on may have been moved."""


async def find_history(
    reader: HistoryReader, commit_seq: int, now_us: int, dataset: str | None = None
) -> History | None:
    """Return what there is up to a commit and a time; None when there is nothing.

    What was replayed ends in the past: its own clock counts, not that of this machine.

    Args:
      dataset: whose rows count beside events, being a model's outcomes.
    """
    [(end_us,)] = await reader.fetch_rows(
        _QUERIES["history_end"], {"commit_seq": commit_seq, "dataset": dataset}
    )
    return None if end_us is None else History(commit_seq, min(int(end_us), now_us))


async def fetch_observations(
    reader: HistoryReader,
    observations: ObservationsSpec,
    history: History,
    *,
    seed: int,
    timeout_s: float | None = None,
) -> pa.Table:
    """Fetch who is observed when, by the grid or the times of a definition.

    Args:
      history: from its begin to its end somebody may be observed.
      seed: chooses among more than `most_rows`; the same rows for the same data and seed.
    Returns: columns entity_key (int64) and event_time (timestamp, microseconds, UTC), each pair
      once, ordered by both, the time first.
    Raises:
      DeadlineExceededError: a query took longer than `timeout_s`.
      StoreError: a query failed.
    Cancellation: the query is interrupted.
    """
    if observations.at:
        found = await _fetch_chosen(reader, observations, history, timeout_s)
    else:
        found = await _fetch_grid(reader, observations, history, seed, timeout_s)
    table = pa.table(
        {"entity_key": found["entity_key"], "event_time": found["t"].cast(pa.timestamp("us"))}
    ).sort_by([("event_time", "ascending"), ("entity_key", "ascending")])
    return _draw(table, observations.most_rows, seed)


async def fetch_labels(
    reader: HistoryReader,
    label: LabelSpec,
    observations: ObservationsSpec,
    uploads: Mapping[str, UploadSpec],
    history: History,
    *,
    seed: int,
    timeout_s: float | None = None,
) -> pa.Table:
    """Fetch observations with their labels.

    Args:
      label: from events, or from a dataset of `uploads`, whose rows then are the observations.
      history: outcomes up to `end_us` are known; who is observed later has no label yet.
    Returns: columns entity_key (int64), event_time (timestamp, microseconds, UTC) and label (bool,
      double or string), ordered by time and entity.
    Raises and cancellation: as `fetch_observations`.
    """
    within_us = label.within * _SECOND_US
    if label.dataset is not None:
        type_ = uploads[label.dataset].columns[str(label.column)]
        table = await _fetch_uploaded(reader, label, type_, history, timeout_s)
        return _draw(table, observations.most_rows, seed)
    observed = await fetch_observations(
        reader,
        observations,
        attrs.evolve(history, end_us=history.end_us - within_us),
        seed=seed,
        timeout_s=timeout_s,
    )
    if not observed.num_rows:
        return observed.append_column("label", pa.array([], pa.bool_()))
    return await fetch_outcomes(reader, label, observed, history, timeout_s=timeout_s)


async def fetch_outcomes(
    reader: HistoryReader,
    label: LabelSpec,
    observed: pa.Table,
    history: History,
    *,
    timeout_s: float | None = None,
) -> pa.Table:
    """Fetch what came, by events, after observations of whatever origin.

    Args:
      label: from events.
      observed: columns entity_key (int64) and event_time (timestamp, microseconds, UTC); pairs may
        repeat. Of those less than `within` before the end of history the outcome is not complete.
    Returns: one row a row, in order of time and entity: entity_key, event_time, label.
    Raises and cancellation: as `fetch_observations`.
    """
    keys = pa.table(
        {"entity_key": observed["entity_key"], "t": observed["event_time"].cast(pa.int64())}
    )
    condition, parameters = _condition(label)
    found = await reader.fetch_arrow(
        _QUERIES["event_labels"].replace("{condition}", condition),
        {
            "commit_seq": history.commit_seq,
            "end_us": history.end_us,
            "within_us": label.within * _SECOND_US,
            **parameters,
        },
        timeout_s=timeout_s,
        tables={"observations": keys},
    )
    match label.aggregate:
        case "exists":
            values = pc.greater(found["n"], 0)
        case "count":
            values = found["n"].cast(pa.float64())
        case _:
            values = found["total"]
    return pa.table(
        {"entity_key": found["entity_key"], "event_time": found["event_time"], "label": values}
    )


async def _fetch_chosen(
    reader: HistoryReader,
    observations: ObservationsSpec,
    history: History,
    timeout_s: float | None,
) -> pa.Table:
    times_us = sorted({_to_us(at) for at in observations.at})
    known_us = [at for at in times_us if history.begin_us <= at <= history.end_us]
    moments = pa.table({"t": pa.array(known_us, pa.int64())})
    return await reader.fetch_arrow(
        _QUERIES["chosen_observations"],
        {"commit_seq": history.commit_seq, "active_us": observations.active * _SECOND_US},
        timeout_s=timeout_s,
        tables={"moments": moments},
    )


async def _fetch_grid(
    reader: HistoryReader,
    observations: ObservationsSpec,
    history: History,
    seed: int,
    timeout_s: float | None,
) -> pa.Table:
    first_us = max(0, history.begin_us, history.end_us - observations.last * _SECOND_US)
    if observations.settle is not None:
        [(begin_us,)] = await reader.fetch_rows(
            _QUERIES["history_begin"], {"commit_seq": history.commit_seq}, timeout_s=timeout_s
        )
        first_us = max(first_us, (begin_us or 0) + observations.settle * _SECOND_US)
    parameters = {
        "commit_seq": history.commit_seq,
        "first_us": first_us,
        "last_us": history.end_us,
        "every_us": observations.every * _SECOND_US,
        "active_us": observations.active * _SECOND_US,
    }
    spans = _QUERIES["grid_spans"]
    [(count,)] = await reader.fetch_rows(
        _QUERIES["count_grid"].replace("{grid_spans}", spans), parameters, timeout_s=timeout_s
    )
    # A tenth more than wanted: a hash draws about as many, and the rest is left out exactly.
    share = 1.0 if not count else min(1.0, 1.1 * observations.most_rows / count)
    return await reader.fetch_arrow(
        _QUERIES["grid_observations"].replace("{grid_spans}", spans),
        {**parameters, "seed": seed, "hash_limit": min(_HASHES - 1, int(share * _HASHES))},
        timeout_s=timeout_s,
    )


async def _fetch_uploaded(
    reader: HistoryReader,
    label: LabelSpec,
    type_: str,
    history: History,
    timeout_s: float | None,
) -> pa.Table:
    return await reader.fetch_arrow(
        _QUERIES["uploaded_labels"].replace("{label}", _LABEL_SQL[type_].format(text="text")),
        {
            "commit_seq": history.commit_seq,
            "dataset": label.dataset,
            "path": f'$."{label.column}"',
            "begin_us": history.begin_us,
            "end_us": history.end_us,
            "within_us": label.within * _SECOND_US,
        },
        timeout_s=timeout_s,
    )


def _condition(label: LabelSpec) -> tuple[str, dict[str, Any]]:
    """Return which events count, as SQL, and its parameters."""
    actions = label.where.get("action")
    if actions is None:
        return "TRUE", {}
    return "action IN (SELECT unnest($actions))", {"actions": list(actions)}


def _draw(table: pa.Table, most_rows: int, seed: int) -> pa.Table:
    """Return at most so many rows, in their order."""
    if table.num_rows <= most_rows:
        return table
    drawn = np.random.default_rng(seed).choice(table.num_rows, most_rows, replace=False)
    return table.take(pa.array(np.sort(drawn)))


def _to_us(moment: datetime.datetime) -> int:
    return (moment - _EPOCH) // datetime.timedelta(microseconds=1)
