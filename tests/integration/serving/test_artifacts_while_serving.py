"""Artifacts that are broken or out of reach, and engines that come back."""

import shutil
from pathlib import Path

import duckdb
import grpc

from tests.support.serving_engine import serving_engine


def tampered(content: bytes) -> bytes:
    return content[:-30] + bytes(30)


def test_an_artifact_that_is_not_what_was_registered_is_refused(tmp_path: Path) -> None:
    with serving_engine(tmp_path, scorers=1, change=tampered) as engine:
        engine.wait_for_scorers(1)
        code, details = engine.refusal(timeout_s=60.0)
        assert code is grpc.StatusCode.DATA_LOSS
        assert "version 2 of 'buys' cannot score: artifact_corrupt" in details
        assert engine.scorers(), "the worker must go on serving other models"
        assert engine.metric('trellis_artifacts_refused_total{reason="artifact_corrupt"}') >= 1


def test_the_cached_champion_is_served_without_its_store_and_by_the_next_engine(
    tmp_path: Path,
) -> None:
    with serving_engine(tmp_path, scorers=1) as engine:
        first = engine.predict(3, timeout_s=90.0).prediction.score
        engine.process.kill()
    shutil.rmtree(tmp_path / "data" / "blobs")
    with serving_engine(tmp_path, scorers=1, promotions=()) as engine:
        assert engine.predict(3, timeout_s=90.0).prediction.score == first
        # The scoring job that the killed engine has left behind was taken over.
        assert len(engine.list_jobs("score")) == 1
        engine.process.kill()


def test_the_last_predictions_are_kept_by_an_engine_that_stops(tmp_path: Path) -> None:
    with serving_engine(tmp_path, scorers=1) as engine:
        made = engine.predict(3, timeout_s=90.0).prediction.prediction_id
        assert engine.process.stop() == 0
    with duckdb.connect(str(tmp_path / "data" / "trellis.duckdb")) as connection:
        rows = connection.execute("SELECT prediction_id, statuses FROM predictions").fetchall()
        assert rows == [(made, "MMM")]
        # Handed back, not failed: nothing is charged to it.
        assert connection.execute("SELECT count(*) FROM job_outcomes").fetchall() == [(0,)]
