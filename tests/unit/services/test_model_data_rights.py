"""Which job may read which part of which version."""

import json

import pytest

from engine.errors import InvalidArgumentError
from engine.jobs import ClaimedJob
from engine.services.model_data_service import _may_read, _read_loaded
from proto.trellis.v1 import model_data_pb2 as pb

PIPELINE, REFERENCE = pb.ARTIFACT_PART_PIPELINE, pb.ARTIFACT_PART_REFERENCE


def job(job_type: str, **payload: object) -> ClaimedJob:
    return ClaimedJob(
        job_id="J",
        run=1,
        attempt=1,
        token="T",
        job_type=job_type,
        payload_json=json.dumps(payload),
        failures=0,
        accepted_at_us=0,
        request_id="",
        pool="default",
        max_attempts=3,
        priority=0,
    )


SCORE = job("score")
TRAIN = job("train", model="buys", champion_version=2)
FIRST = job("train", model="buys", champion_version=None)
DRIFT = job("detect_drift", model="buys", version=2)


@pytest.mark.parametrize(
    ("asker", "model", "version", "part", "allowed"),
    [
        (SCORE, "buys", 2, PIPELINE, True),
        (SCORE, "other", 7, PIPELINE, True),
        (SCORE, "buys", 2, REFERENCE, False),
        (TRAIN, "buys", 2, PIPELINE, True),
        (TRAIN, "buys", 3, PIPELINE, False),
        (TRAIN, "other", 2, PIPELINE, False),
        (TRAIN, "buys", 2, REFERENCE, False),
        (FIRST, "buys", 2, PIPELINE, False),
        (DRIFT, "buys", 2, REFERENCE, True),
        (DRIFT, "buys", 2, PIPELINE, True),
        (DRIFT, "buys", 3, REFERENCE, False),
        (job("process_upload"), "buys", 2, PIPELINE, False),
        (job("mine", model="buys", version=2), "buys", 2, PIPELINE, False),
    ],
)
def test_a_job_reads_what_it_is_about_and_nothing_else(asker, model, version, part, allowed):
    assert _may_read(asker, model, version, part) is allowed


def test_loaded_versions_are_read_or_refused():
    assert _read_loaded(["buys/2", "a/b/3"]) == {("buys", 2), ("a/b", 3)}
    for names in (["buys"], ["buys/x"], ["/"], ["buys/1"] * 2_000):
        with pytest.raises(InvalidArgumentError):
            _read_loaded(names)
