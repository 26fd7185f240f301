"""The rows a look for drift is given: features of the window, and what was predicted in it."""

import attrs
import pyarrow as pa

from engine.features import FeatureStore, HistoryReader
from engine.learning.payloads import DriftRequest
from engine.models.labels import fetch_observations
from engine.store.queries import load_queries

_QUERIES = load_queries("engine.learning")
_SECOND_US = 1_000_000
_TIMEOUT_S = 600.0

SCORE_COLUMN = "__score"
"""No feature has a name that begins so."""
ANSWER_COLUMN = "__answer"


async def fetch_drift_rows(
    request: DriftRequest, features: FeatureStore, reader: HistoryReader
) -> pa.Table:
    """Fetch the rows of a window, the same for the same request.

    Returns: columns entity_key (int64) and event_time (timestamp, microseconds, UTC), a column for
      each feature that is still defined, NULL where it is missing, and `SCORE_COLUMN` (double) and
      `ANSWER_COLUMN` (string): what the version predicted in that time, in no relation to the row,
      NULL past the last prediction.
    Raises:
      NotFoundError: none of the features is defined any more.
      DeadlineExceededError: a query took longer than ten minutes.
      StoreError: a query failed.
    Cancellation: the query is interrupted.
    """
    defined = features.feature_set.features
    names = [name for name in request.features if name in defined] or request.features
    begin_us = features.earliest_us(names, request.observations.active * _SECOND_US)
    observed = await fetch_observations(
        reader,
        request.observations,
        attrs.evolve(request.history, begin_us=begin_us),
        seed=request.seed,
        timeout_s=_TIMEOUT_S,
    )
    rows = await features.training_set(observed, names, request.commit_seq, timeout_s=_TIMEOUT_S)
    scores = await reader.fetch_arrow(
        _QUERIES["scores_of_window"],
        {
            "model": request.model,
            "version": request.version,
            "commit_seq": request.commit_seq,
            "start_us": request.window_start_us,
            "end_us": request.window_end_us,
            "seed": request.seed,
            "most": rows.num_rows,
        },
        timeout_s=_TIMEOUT_S,
    )
    for name, column in ((SCORE_COLUMN, "score"), (ANSWER_COLUMN, "prediction")):
        type_ = scores.schema.field(column).type
        missing = pa.nulls(rows.num_rows - scores.num_rows, type_)
        chunks = [*scores[column].chunks, missing]
        rows = rows.append_column(name, pa.chunked_array(chunks, type_))
    return rows
