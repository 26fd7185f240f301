"""Traces of the whole program, as a collector gets them, and the one id that the log has."""

import os
import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from proto.trellis.v1 import (
    features_pb2,
    jobs_pb2,
    models_pb2,
    monitor_pb2,
    workers_pb2,
)
from tests.support.learning_engine import FEATURES, prepare
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.serving_engine import wait_until
from tests.support.traced_engine import (
    Caller,
    TracedEngine,
    call,
    find,
    traced_engine,
    upload,
    wait_for_worker_of,
)

SECRET = "colSecret-4711-xyz"
UPLOADS = """
uploads:
  profiles:
    {entity: user, entity_key: user_id, time_column: at, columns: {plan: string}}
"""
SERVER, PRODUCER, CONSUMER = 2, 4, 5


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TracedEngine]:
    folder = tmp_path_factory.mktemp("traces")
    prepare(folder)
    (folder / "configs/features.yaml").write_text(FEATURES + UPLOADS)
    with OtlpReceiver() as receiver:
        environment = {
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={SECRET}",
            "OTEL_SERVICE_NAME": "shop-features",
        }
        with traced_engine(folder, receiver, environment=environment) as world:
            world.engine.wait_for_scorers(1)
            yield world
            assert world.engine.process.stop() == 0
        world.engine.check_log()


def test_an_upload_is_one_trace_from_its_caller_to_the_worker_and_back(world: TracedEngine) -> None:
    caller = Caller()
    job_id = upload(world, caller, b"user_id,at,plan\n1,2026-01-02,gold\n2,2026-01-02,free\n")
    assert world.engine.wait_for_end(job_id).state == jobs_pb2.JOB_STATE_SUCCEEDED

    [server] = find(world.receiver, caller.trace_id, "trellis.v1.IngestService/UploadFile")
    [sent] = find(world.receiver, caller.trace_id, "send process_upload")
    [attempt] = find(world.receiver, caller.trace_id, "process process_upload")
    [handler] = find(world.receiver, caller.trace_id, "run process_upload")
    [read] = find(world.receiver, caller.trace_id, "trellis.v1.WorkerService/ReadUpload")
    assert server.parent_id == caller.span_id
    assert sent.parent_id == server.span_id
    assert attempt.parent_id == sent.span_id
    assert handler.parent_id == attempt.span_id
    assert read.parent_id == handler.span_id
    assert (server.kind, sent.kind, attempt.kind) == (SERVER, PRODUCER, CONSUMER)
    assert server.attributes["rpc.system"] == "grpc"
    assert server.attributes["rpc.service"] == "trellis.v1.IngestService"
    assert server.attributes["rpc.grpc.status_code"] == 0
    assert server.attributes["trellis.request.id"] == caller.request_id
    assert attempt.attributes["messaging.message.id"] == job_id
    assert attempt.attributes["trellis.job.cause"] == "completed"
    assert handler.resource["service.instance.id"] == handler.attributes["trellis.worker.id"]
    assert {span.resource["service.name"] for span in (server, handler)} == {"shop-features"}

    [accepted] = world.receiver.wait_for(
        lambda span: span.name == "commit" and sent.span_id in span.links
    )
    assert not accepted.parent_id
    assert accepted.trace_id != caller.trace_id
    assert accepted.attributes["trellis.rows"] >= 1
    world.receiver.wait_for(lambda span: span.name == "commit" and attempt.span_id in span.links)
    assert world.engine.job(job_id).request_id == caller.request_id


def test_both_attempts_are_there_when_a_worker_was_killed_in_between(world: TracedEngine) -> None:
    caller = Caller()
    job_id = world.submit_sleep(caller, 1.5)
    os.kill(wait_for_worker_of(world, job_id), signal.SIGKILL)
    assert world.engine.wait_for_end(job_id).state == jobs_pb2.JOB_STATE_SUCCEEDED

    [sent] = find(world.receiver, caller.trace_id, "send sleep")
    killed, done = find(world.receiver, caller.trace_id, "process sleep", 2)
    assert {killed.parent_id, done.parent_id} == {sent.span_id}
    assert (killed.attributes["trellis.job.attempt"], killed.is_error) == (1, True)
    assert killed.attributes["trellis.job.cause"] == "died"
    assert killed.events == ("attempt ended",)
    assert (done.attributes["trellis.job.attempt"], done.is_error) == (2, False)
    assert killed.end_ns <= done.begin_ns
    # What the killed worker had to tell died with it.
    [handler] = find(world.receiver, caller.trace_id, "run sleep")
    assert handler.parent_id == done.span_id


def test_a_cancelled_job_says_so_on_both_sides(world: TracedEngine) -> None:
    caller = Caller()
    job_id = world.submit_sleep(caller, 60)
    wait_for_worker_of(world, job_id)
    world.engine.call("JobService/CancelJob", jobs_pb2.CancelJobRequest(job_id=job_id))
    assert world.engine.wait_for_end(job_id).state == jobs_pb2.JOB_STATE_CANCELLED

    [attempt] = find(world.receiver, caller.trace_id, "process sleep")
    [handler] = find(world.receiver, caller.trace_id, "run sleep")
    assert attempt.events == ("cancel requested", "attempt ended")
    assert attempt.attributes["trellis.job.cause"] == "cancelled"
    assert handler.events == ("cancelled", "exception")
    assert handler.parent_id == attempt.span_id


def test_a_training_is_one_trace_up_to_what_became_of_its_version(world: TracedEngine) -> None:
    caller = Caller()
    reply = call(
        world.engine.process,
        "service_d",
        "MonitorService/Retrain",
        monitor_pb2.RetrainRequest(model="buys"),
        monitor_pb2.RetrainResponse,
        caller.metadata,
    )
    assert world.engine.wait_for_end(reply.job_id).state == jobs_pb2.JOB_STATE_SUCCEEDED

    names = ("trellis.v1.MonitorService/Retrain", "start training", "send train", "process train")
    chain = [find(world.receiver, caller.trace_id, name)[0] for name in names]
    parents = [caller.span_id, *(span.span_id for span in chain[:-1])]
    assert [span.parent_id for span in chain] == parents
    attempt = chain[-1]
    [handler] = find(world.receiver, caller.trace_id, "run train")
    [promotion] = find(world.receiver, caller.trace_id, "decide promotion")
    assert handler.parent_id == attempt.span_id
    assert promotion.parent_id == attempt.span_id
    assert promotion.attributes["trellis.model"] == "buys"


def test_a_look_for_drift_and_a_promotion_are_traced(world: TracedEngine) -> None:
    caller = Caller()
    with pytest.raises(grpc.RpcError, match="bad_reference"):  # the champion was never trained
        call(
            world.engine.process,
            "service_d",
            "MonitorService/DetectDrift",
            monitor_pb2.DetectDriftRequest(model="buys"),
            monitor_pb2.DetectDriftResponse,
            caller.metadata,
        )
    [start] = find(world.receiver, caller.trace_id, "start drift check")
    [sent] = find(world.receiver, caller.trace_id, "send detect_drift")
    assert sent.parent_id == start.span_id
    [attempt] = find(world.receiver, caller.trace_id, "process detect_drift")
    [handler] = find(world.receiver, caller.trace_id, "run detect_drift")
    assert (attempt.parent_id, handler.parent_id) == (sent.span_id, attempt.span_id)
    assert attempt.is_error
    assert handler.is_error

    mover = Caller()
    alias = models_pb2.SetAliasRequest(model="buys", alias="challenger", version=2)
    call(
        world.engine.process,
        "service_b",
        "ModelService/SetAlias",
        alias,
        models_pb2.SetAliasResponse,
        mover.metadata,
    )
    [server] = find(world.receiver, mover.trace_id, "trellis.v1.ModelService/SetAlias")
    [moved] = find(world.receiver, mover.trace_id, "move alias")
    assert moved.parent_id == server.span_id


def test_reads_and_predictions_tell_where_their_time_went(world: TracedEngine) -> None:
    caller = Caller()
    method = "FeatureService/GetFeatures"
    request = features_pb2.GetFeaturesRequest(features=["views"], entity_key=1)
    reply = features_pb2.GetFeaturesResponse
    call(world.engine.process, "service_b", method, request, reply, caller.metadata)
    [server] = find(world.receiver, caller.trace_id, f"trellis.v1.{method}")
    [read] = find(world.receiver, caller.trace_id, "read features")
    assert read.parent_id == server.span_id
    assert read.attributes["trellis.features.source"] == "online"

    caller = Caller()
    request.as_of.FromSeconds(int(time.time()) - 300)
    call(world.engine.process, "service_b", method, request, reply, caller.metadata)
    [read] = find(world.receiver, caller.trace_id, "read features")
    assert read.attributes["trellis.features.source"] == "history"

    caller = Caller()
    predict = features_pb2.PredictRequest(model="buys", entity_key=1)
    call(
        world.engine.process,
        "service_b",
        "FeatureService/Predict",
        predict,
        features_pb2.PredictResponse,
        caller.metadata,
    )
    [server] = find(world.receiver, caller.trace_id, "trellis.v1.FeatureService/Predict")
    parts = [
        find(world.receiver, caller.trace_id, name)[0]
        for name in ("read features", "wait for a worker", "score")
    ]
    assert {part.parent_id for part in parts} == {server.span_id}
    assert parts[1].end_ns <= parts[2].begin_ns + 1_000  # rounded from seconds


@pytest.mark.parametrize(
    "parent",
    [
        "00-00000000000000000000000000000000-1234567890abcdef-01",
        "00-xyz-1234567890abcdef-01",
        "ff-0123456789abcdef0123456789abcdef-1234567890abcdef-01",
        "",
    ],
)
def test_an_invalid_parent_is_ignored(world: TracedEngine, parent: str) -> None:
    request_id = f"call-{secrets.token_hex(4)}"
    request = features_pb2.GetFeaturesRequest(features=["views"], entity_key=1)
    metadata = [("traceparent", parent), ("x-request-id", request_id)]
    call(
        world.engine.process,
        "service_b",
        "FeatureService/GetFeatures",
        request,
        features_pb2.GetFeaturesResponse,
        metadata,
    )
    [server] = world.receiver.wait_for(
        lambda span: span.attributes.get("trellis.request.id") == request_id and span.kind == SERVER
    )
    assert not server.parent_id


def test_a_refused_call_tells_its_status_and_is_no_error_of_the_servers(
    world: TracedEngine,
) -> None:
    caller = Caller()
    with pytest.raises(grpc.RpcError):
        call(
            world.engine.process,
            "service_d",
            "JobService/GetJob",
            jobs_pb2.GetJobRequest(job_id="0" * 26),
            jobs_pb2.GetJobResponse,
            caller.metadata,
        )
    [server] = find(world.receiver, caller.trace_id, "trellis.v1.JobService/GetJob")
    assert server.attributes["rpc.grpc.status_code"] == grpc.StatusCode.NOT_FOUND.value[0]
    assert not server.is_error


def test_workers_that_ask_on_their_own_behalf_begin_no_traces(world: TracedEngine) -> None:
    world.receiver.wait_for(lambda span: span.name == "commit")
    asked = {span.name.rpartition("/")[2] for span in world.receiver.spans}
    assert not asked & {"Check", "TakeJobs", "CompleteJobs", "FailJob", "ExchangeBatch"}


def test_one_id_leads_from_the_call_through_the_job_to_the_workers_lines(
    world: TracedEngine,
) -> None:
    caller = Caller()
    job_id = upload(world, caller, b"user_id,at,plan\n7,2026-01-02,gold\n")
    world.engine.wait_for_end(job_id)
    assert world.engine.job(job_id).request_id == caller.request_id
    ids = {"request_id": caller.request_id, "trace_id": caller.trace_id}
    wait_until(lambda: bool(world.log_lines(event="call", **ids)), 10.0)
    of_job = {"event": "worker output", "job_id": job_id, **ids}
    wait_until(lambda: bool(world.log_lines(**of_job)), 10.0)


def test_one_id_leads_from_a_prediction_to_the_line_of_the_worker_that_scores_it(
    world: TracedEngine,
) -> None:
    caller = Caller()
    call(
        world.engine.process,
        "service_b",
        "FeatureService/Predict",
        features_pb2.PredictRequest(model="buys", entity_key=1),
        features_pb2.PredictResponse,
        caller.metadata,
    )
    ids = {"request_id": caller.request_id, "trace_id": caller.trace_id}
    of_worker = {"event": "worker output", "level": "debug", **ids}
    wait_until(lambda: bool(world.log_lines(**of_worker)), 10.0)
    [line] = world.log_lines(**of_worker)
    assert "engine.tasks.score: batch" in line["line"]


def test_headers_for_the_collector_are_told_to_nobody_else(world: TracedEngine) -> None:
    assert world.receiver.headers
    assert {headers.get("x-api-key") for headers in world.receiver.headers} == {SECRET}
    assert SECRET not in world.engine.process.log_path.read_text()
    workers = world.engine.call("WorkerService/ListWorkers", workers_pb2.ListWorkersRequest())
    pids = [worker.pid for worker in workers.workers if worker.pid]
    assert pids
    for pid in pids:
        assert SECRET.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
        assert b"OTEL_" not in Path(f"/proc/{pid}/environ").read_bytes()
    for file in (world.folder / "data").rglob("*"):
        if file.is_file():
            assert SECRET.encode() not in file.read_bytes(), file
