"""The whole program is killed in the midst of a job that has left daemons."""

import os
import signal
import time

import grpc
import psutil
import pytest

from engine.workers.marks import mark_of
from proto.trellis.v1 import jobs_pb2, workers_pb2
from tests.support.engine_process import EngineProcess
from tests.support.worker_host import is_alive, marked_like, title_of

SETTINGS = [
    "workers.job_types={leave_daemon: {handler: 'tests.support.job_bodies:leave_daemon'}}",
    "shutdown.grace_s=500ms",
]


def until(condition, timeout_s):
    give_up_at_s = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < give_up_at_s
        time.sleep(0.02)
    return found


def run_job(engine):
    """Start the job; return the worker that does it, once its daemon is there."""
    with grpc.insecure_channel(engine.address("service_d")) as channel:
        submit = channel.unary_unary(
            "/trellis.v1.JobService/SubmitJob",
            request_serializer=jobs_pb2.SubmitJobRequest.SerializeToString,
            response_deserializer=jobs_pb2.SubmitJobResponse.FromString,
        )
        list_workers = channel.unary_unary(
            "/trellis.v1.WorkerService/ListWorkers",
            request_serializer=workers_pb2.ListWorkersRequest.SerializeToString,
            response_deserializer=workers_pb2.ListWorkersResponse.FromString,
        )
        request = jobs_pb2.SubmitJobRequest(job_type="leave_daemon", payload_json="{}")
        job_id = submit(request).job_id

        def busy():
            workers = list_workers(workers_pb2.ListWorkersRequest()).workers
            return [worker for worker in workers if worker.job_id == job_id and worker.progress]

        return until(busy, 30)[0]


@pytest.mark.parametrize("zygote", ["running", "stopped", "killed"])
def test_nothing_is_left_or_the_next_engine_removes_it(tmp_path, zygote):
    with EngineProcess(tmp_path / "data", settings=SETTINGS) as engine:
        worker = run_job(engine)
        started = {*marked_like(worker.pid)}
        started |= {child.pid for child in psutil.Process(engine.pid).children(recursive=True)}
        assert any(title_of(pid).startswith("trellis worker") for pid in started)
        daemons = {pid for pid in started if "os.setsid()" in title_of(pid)}
        assert daemons
        # A worker that is being forked bears the zygote's title for a moment.
        zygotes = [pid for pid in started if title_of(pid) == "trellis zygote"]
        zygote_pid = min(zygotes, key=lambda pid: psutil.Process(pid).create_time())
        if zygote == "killed":
            engine.signal(signal.SIGSTOP)  # or it would make another
            os.kill(zygote_pid, signal.SIGKILL)
        elif zygote == "stopped":
            os.kill(zygote_pid, signal.SIGSTOP)
        engine.kill()
        until(lambda: not any(is_alive(pid) for pid in started - daemons), 5)
        if zygote != "killed":
            until(lambda: not any(map(is_alive, daemons)), 5)
    with EngineProcess(tmp_path / "data", settings=SETTINGS) as engine:
        assert not any(map(is_alive, daemons))
        assert mark_of(run_job(engine).pid) is not None
        assert engine.stop() == 0
