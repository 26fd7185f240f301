"""The job `detect_drift`, with an engine that only hands out what the test made."""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import msgspec
import numpy as np
import pyarrow as pa
import pytest

from engine.tasks.detect_drift import run
from engine.tasks.errors import JobCancelled, PermanentJobError
from engine.tasks.model_data import ArtifactError
from engine.tasks.reference import make_reference
from engine.tasks.reference_file import write_reference

ROWS = 600
PAYLOAD: Mapping[str, Any] = {
    "model": "buyers",
    "version": 3,
    "features": ["clicks_5m", "plan"],
    "types": {"clicks_5m": "int64", "plan": "string"},
    "observations": {"every_s": 3600},
    "window_start_us": 1_000_000,
    "window_end_us": 2_000_000,
    "commit_seq": 41,
    "thresholds": {
        "psi": 0.2,
        "ks_statistic": 0.1,
        "missing_rate": 0.1,
        "alpha": 0.01,
        "share": 0.5,
        "least_rows": 200,
    },
    "cause": "call",
}


def rows(mean: float, seed: int, count: int = ROWS) -> pa.Table:
    random = np.random.default_rng(seed)
    return pa.table(
        {
            "entity_key": np.arange(count),
            "event_time": pa.array(np.arange(count), pa.timestamp("us")),
            "clicks_5m": random.poisson(mean, count),
            "plan": random.choice(["free", "pro"], count),
        }
    )


@functools.cache
def trained() -> bytes:
    features = rows(2, seed=1).select(["clicks_5m", "plan"])
    return write_reference(make_reference(features, seed=1))


@attrs.define
class NotedJob:
    """What the job is given, and what it said."""

    window: pa.Table
    payload: Mapping[str, Any] = PAYLOAD
    reference: bytes = attrs.field(factory=trained)
    cancelled_at: str | None = None
    counter: int = 0
    total: int | None = None
    notes: list[str] = attrs.field(factory=list)
    counted: list[str] = attrs.field(factory=list)
    refusal: ArtifactError | None = None

    def count(self, name: str, amount: float = 1) -> None:
        self.counted.append(name)

    def advance(
        self, amount: int = 1, *, total: int | None = None, note: str | None = None
    ) -> None:
        self.counter += amount
        self.total = total or self.total
        self.notes += [note] if note is not None else []
        if note is not None and note == self.cancelled_at:
            raise JobCancelled

    def read_rows(self) -> Iterator[bytes]:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.window.schema) as writer:
            writer.write_table(self.window, max_chunksize=250)
        content = bytes(sink.getvalue())
        for start in range(0, len(content), 1_000):
            yield content[start : start + 1_000]

    def read_part(self, model: str, version: int, part: str = "pipeline") -> bytes:
        assert (model, version, part) == ("buyers", 3, "reference")
        if self.refusal is not None:
            raise self.refusal
        return self.reference


def test_the_window_is_compared_with_the_reference_of_the_version() -> None:
    job = NotedJob(rows(4, seed=2))
    result = run(job)
    assert {name: result[name] for name in ("model", "version", "window_end_us", "verdict")} == {
        "model": "buyers",
        "version": 3,
        "window_end_us": 2_000_000,
        "verdict": "DRIFTED",
    }
    assert (result["rows"], result["features_checked"], result["features_drifted"]) == (ROWS, 2, 1)
    assert [one["feature"] for one in result["features"]] == ["clicks_5m", "plan"]
    assert result["features"][0]["reasons"] == ["psi", "ks"]
    assert result["thresholds"] == PAYLOAD["thresholds"]
    assert msgspec.json.decode(msgspec.json.encode(result))["verdict"] == "DRIFTED"


def test_an_unmoved_window_is_stable() -> None:
    result = run(NotedJob(rows(2, seed=2)))
    assert (result["verdict"], result["features_drifted"]) == ("STABLE", 0)


def test_progress_names_what_is_done_and_comes_to_its_end() -> None:
    job = NotedJob(rows(2, seed=2))
    run(job)
    assert job.notes == [
        "reading the reference",
        "reading the window",
        "250 rows",
        "500 rows",
        "600 rows",
        "clicks_5m",
        "plan",
    ]
    assert job.counter == 3
    assert job.total == 4


def test_a_cancellation_between_features_ends_the_job() -> None:
    job = NotedJob(rows(2, seed=2), cancelled_at="plan")
    with pytest.raises(JobCancelled):
        run(job)


@pytest.mark.parametrize(
    ("count", "least_rows", "message"),
    [
        (199, 200, "the window has 199 rows; a verdict needs 200"),
        (0, 0, "the window has 0 rows; a verdict needs 1"),
    ],
)
def test_a_window_with_too_few_rows_has_no_verdict(
    count: int, least_rows: int, message: str
) -> None:
    thresholds = {**PAYLOAD["thresholds"], "least_rows": least_rows}
    job = NotedJob(rows(2, seed=2, count=count), {**PAYLOAD, "thresholds": thresholds})
    with pytest.raises(PermanentJobError, match=message) as caught:
        run(job)
    assert caught.value.code == "too_little_data"


def test_a_feature_without_reference_is_reported_and_the_others_are_compared() -> None:
    payload = {**PAYLOAD, "features": ["clicks_5m", "added"]}
    result = run(NotedJob(rows(4, seed=2), payload))
    assert result["not_compared"] == {"added": "no_reference"}
    assert result["verdict"] == "DRIFTED"


@pytest.mark.parametrize("code", ["artifact_missing", "artifact_corrupt"])
def test_a_reference_that_is_gone_or_changed_fails_for_good_and_is_counted(code: str) -> None:
    job = NotedJob(rows(2, seed=2), refusal=ArtifactError(code, "of another hash"))
    with pytest.raises(PermanentJobError, match="of buyers/3: of another hash") as caught:
        run(job)
    assert caught.value.code == code
    assert job.counted == ["artifacts_refused"]


def test_a_reference_that_is_out_of_reach_for_now_is_asked_for_again() -> None:
    job = NotedJob(rows(2, seed=2), refusal=ArtifactError("artifact_unavailable", "blobs away"))
    with pytest.raises(ArtifactError, match="blobs away"):
        run(job)
    assert not job.counted


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"payload": {**PAYLOAD, "features": ["added"]}}, "nothing_to_compare"),
        ({"reference": b"torn"}, "bad_reference"),
        ({"reference": b""}, "bad_reference"),
    ],
)
def test_what_cannot_be_compared_at_all_fails_for_good(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(PermanentJobError) as caught:
        run(attrs.evolve(NotedJob(rows(2, seed=2)), **changes))
    assert caught.value.code == code


def test_rows_that_end_early_fail_for_good() -> None:
    class Torn(NotedJob):
        def read_rows(self) -> Iterator[bytes]:
            yield next(super().read_rows())

    with pytest.raises(PermanentJobError) as caught:
        run(Torn(rows(2, seed=2)))
    assert caught.value.code == "bad_rows"
