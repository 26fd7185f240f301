"""The rows a look for drift is given: features of the window, and what was predicted in it."""

import pyarrow as pa

from engine.features import FeatureStore, HistoryReader
from engine.learning.payloads import DriftRequest
from engine.models.labels import fetch_observations
from engine.store.queries import load_queries

_QUERIES = load_queries("engine.learning")
_TIMEOUT_S = 600.0

SCORE_COLUMN = "__score"
"""No feature has a name that begins so."""


async def fetch_drift_rows(
    request: DriftRequest, features: FeatureStore, reader: HistoryReader
) -> pa.Table:
    """Fetch the rows of a window, the same for the same request.

    Returns: columns entity_key (int64) and event_time (timestamp, microseconds, UTC), a column for
      each feature, NULL where it is missing, and `SCORE_COLUMN`: what the version predicted in
      that time, in no relation to the row, NULL past the last prediction.
    Raises:
      NotFoundError: a feature is not defined any more.
      DeadlineExceededError: a query took longer than ten minutes.
      StoreError: a query failed.
    Cancellation: the query is interrupted.
    """
    observed = await fetch_observations(
        reader,
        request.observations,
        request.history,
        seed=request.seed,
        timeout_s=_TIMEOUT_S,
    )
    rows = await features.training_set(
        observed, request.features, request.commit_seq, timeout_s=_TIMEOUT_S
    )
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
    missing = pa.nulls(rows.num_rows - scores.num_rows, pa.float64())
    column = pa.chunked_array([*scores["score"].chunks, missing], pa.float64())
    return rows.append_column(SCORE_COLUMN, column)
