"""Past answers worked out again from the data file of a stopped engine, without its code."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb

from engine.config import FeatureSpec, load_config
from engine.features.compilation import default_tile_s
from proto.trellis.v1 import features_pb2
from tests.support.engine_process import ROOT
from tests.unit.features.naive import Aggregate, Event

_STATUS = features_pb2.FeatureStatus


def load_aggregates() -> dict[str, Aggregate]:
    """Return the shipped features that rest on events, as the naive implementation takes them."""
    specs = load_config(ROOT / "configs", None, (), {}).features.features
    return {name: _aggregate(spec) for name, spec in specs.items() if spec.source == "events"}


def _aggregate(spec: FeatureSpec) -> Aggregate:
    tile_s = None if spec.window_s is None else spec.tile_s or default_tile_s(spec.window_s)
    return Aggregate(
        kind=str(spec.aggregate),
        actions=spec.where.get("action"),
        column=spec.column,
        window=_us(spec.window_s),
        tile=_us(tile_s),
        ttl=_us(spec.ttl_s),
    )


def _us(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * 1_000_000


def find_disagreements(
    data_file: Path,
    aggregates: dict[str, Aggregate],
    answers: Iterable[features_pb2.GetFeaturesResponse],
) -> list[str]:
    """Return every value of the answers that the file's events do not give.

    Args:
      data_file: the DuckDB file; no engine may hold it.
      aggregates: the definitions by feature name; other features of an answer are passed over.
      answers: what the engine answered while it ran.
    """
    found = []
    with duckdb.connect(str(data_file), read_only=True) as connection:
        for answer in answers:
            rows = connection.execute(
                "SELECT user_id, action, epoch_us(event_time), value, partition, "
                '"offset", commit_seq FROM events WHERE user_id = ? AND commit_seq <= ?',
                [answer.entity_key, answer.commit_seq],
            ).fetchall()
            events = [Event(*row) for row in rows]
            at_us = answer.as_of.ToMicroseconds()
            for given in answer.features:
                if given.name not in aggregates:
                    continue
                wanted = aggregates[given.name].answer(events, answer.entity_key, at_us)
                if _decoded(given) != wanted:
                    found.append(
                        f"user {answer.entity_key} at {at_us}, commit {answer.commit_seq}: "
                        f"{given.name} was {_decoded(given)}, the file gives {wanted}"
                    )
    return found


def _decoded(value: features_pb2.FeatureValue) -> tuple[Any, str, int | None]:
    kind = value.WhichOneof("value")
    return (
        None if kind is None else getattr(value, kind),
        _STATUS.Name(value.status).removeprefix("FEATURE_STATUS_"),
        value.event_time.ToMicroseconds() if value.HasField("event_time") else None,
    )
