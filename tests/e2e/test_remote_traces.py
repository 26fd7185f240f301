"""Workers of another machine: their spans, and their lines, are of the trace they work for."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from proto.trellis.v1 import jobs_pb2
from tests.support.agent_process import AgentProcess
from tests.support.engine_process import EngineProcess
from tests.support.otlp_receiver import OtlpReceiver
from tests.support.remote_world import SETTINGS, TOKEN, eventually, remote_world
from tests.support.traced_engine import Caller, find, log_lines, submit

JOB_TYPES = "{sleep: {handler: 'tests.support.job_bodies:log_and_sleep', pool: far}}"
CONFIGURED = (*SETTINGS, f"workers.job_types={JOB_TYPES}", "log.format=json")
SECRET = "farSecret-4711-xyz"
START_S = 90.0
"""A machine that is new to the engine imports for seconds, and longer where much else runs."""


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


def traced(receiver: OtlpReceiver) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={SECRET}",
    }


def test_a_job_done_on_another_machine_is_in_its_callers_trace_and_so_are_its_lines(
    tmp_path: Path, receiver: OtlpReceiver
) -> None:
    caller = Caller()
    settings = {"settings": CONFIGURED, "environment": traced(receiver)}
    with EngineProcess(tmp_path / "data", **settings) as engine:
        control, log_path = engine.address("control"), tmp_path / "away.log"
        agent = AgentProcess(log_path, control, TOKEN, environment=traced(receiver))
        with agent, remote_world(engine, tmp_path) as world:
            job_id = submit(engine, caller, "sleep", seconds=0.1)
            job = world.ended(job_id, START_S)
            assert job.state == jobs_pb2.JOB_STATE_SUCCEEDED
            [sent] = find(receiver, caller.trace_id, "send sleep")
            [attempt] = find(receiver, caller.trace_id, "process sleep")
            [handler] = find(receiver, caller.trace_id, "run sleep")
            ids = {"request_id": caller.request_id, "trace_id": caller.trace_id}
            told = {"event": "worker output", "job_id": job_id, "level": "warning", **ids}
            [line] = eventually(lambda: log_lines(log_path, **told), 10.0)
            agent.signal(signal.SIGTERM)
            assert agent.wait() == 0
        assert engine.stop() == 0

    assert (attempt.parent_id, handler.parent_id) == (sent.span_id, attempt.span_id)
    assert attempt.attributes["trellis.worker.slot"] == "away-0"
    assert handler.resource["service.instance.id"] == job.worker_id
    assert handler.resource["trellis.worker.slot"] == "away-0"
    assert handler.resource["host.name"] == socket.gethostname()
    assert line["line"] == "WARNING shop: as it was asked"
    assert line["worker"] == job.worker_id
    for text in (log_path.read_text(), engine.log_path.read_text()):
        assert SECRET not in text
        assert "Traceback" not in text


def test_what_a_worker_told_while_the_engine_was_killed_is_below_the_attempt_told_by_the_next(
    tmp_path: Path, receiver: OtlpReceiver
) -> None:
    caller = Caller()
    settings = (*CONFIGURED, "workers.check_deadline_s=10")
    with EngineProcess(
        tmp_path / "data", settings=settings, environment=traced(receiver)
    ) as engine:
        control, log_path = engine.address("control"), tmp_path / "away.log"
        agent = AgentProcess(log_path, control, TOKEN, environment=traced(receiver))
        with agent:
            job_id = submit(engine, caller, "sleep", seconds=2)
            eventually(lambda: log_lines(log_path, job_id=job_id), START_S)
            engine.kill()
            [orphan] = find(receiver, caller.trace_id, "run sleep")
            assert not [one for one in receiver.spans if one.span_id == orphan.parent_id]
            port = control.rpartition(":")[2]
            again = EngineProcess(
                tmp_path / "data",
                settings=(*settings, f"server_ports.control={port}"),
                environment=traced(receiver),
            )
            with again:
                [lost] = receiver.wait_for(lambda span: span.span_id == orphan.parent_id)
                assert again.stop() == 0

    assert lost.name == "process sleep"
    assert lost.attributes["trellis.job.cause"] == "engine_lost"
    assert lost.attributes["messaging.message.id"] == job_id
