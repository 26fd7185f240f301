"""Traces that outlive the engine: what one life has begun, the next one tells to its end."""

import signal
from pathlib import Path

from proto.trellis.v1 import jobs_pb2
from tests.support.learning_engine import prepare
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.traced_engine import Caller, find, traced_engine, wait_for_worker_of


def test_the_next_life_tells_of_the_attempt_that_a_killed_engine_had_begun(tmp_path: Path) -> None:
    prepare(tmp_path)
    caller = Caller()
    with OtlpReceiver() as receiver:
        with traced_engine(tmp_path, receiver) as world:
            job_id = world.submit_sleep(caller, 2.0)
            wait_for_worker_of(world, job_id)
            [sent] = find(world.receiver, caller.trace_id, "send sleep")
            world.engine.process.signal(signal.SIGKILL)
            world.engine.process.wait(10.0)
        assert not [span for span in receiver.of_trace(caller.trace_id) if "process" in span.name]

        with traced_engine(tmp_path, receiver) as world:
            job = world.engine.wait_for_end(job_id)
            assert job.state == jobs_pb2.JOB_STATE_SUCCEEDED
            lost, done = find(world.receiver, caller.trace_id, "process sleep", 2)
            [handler] = find(world.receiver, caller.trace_id, "run sleep")
            ids = {"request_id": caller.request_id, "trace_id": caller.trace_id, "job_id": job_id}
            assert len(world.log_lines(event="attempt lost with its engine", **ids)) == 1
            assert world.engine.process.stop() == 0
        world.engine.check_log()

    assert {lost.parent_id, done.parent_id} == {sent.span_id}
    assert [span.attributes["trellis.job.attempt"] for span in (lost, done)] == [1, 2]
    assert lost.attributes["trellis.job.cause"] == "engine_lost"
    assert lost.attributes["trellis.job.charged"] is False
    assert lost.is_error
    assert lost.events == ("attempt ended",)
    assert sent.begin_ns <= lost.begin_ns < lost.end_ns <= done.begin_ns
    assert handler.parent_id == done.span_id
    assert not done.is_error
