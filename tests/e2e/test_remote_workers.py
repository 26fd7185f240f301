"""Workers of other machines: `python main.py worker` beside the real engine."""

import json
import os
import signal
from pathlib import Path

import psutil
import pytest

from proto.trellis.v1 import jobs_pb2
from tests.support.agent_process import AgentProcess
from tests.support.certificates import make_identity
from tests.support.engine_process import EngineProcess
from tests.support.remote_world import (
    CHECK_DEADLINE_S,
    SETTINGS,
    TOKEN,
    eventually,
    remote_world,
)

PROFILES = b"""
{"user_id": 7, "plan": "pro", "updated_at": "2026-01-01T00:00:00Z"}
{"plan": "none", "updated_at": "2026-01-01T00:00:00Z"}
"""
SUCCEEDED = jobs_pb2.JOB_STATE_SUCCEEDED


@pytest.fixture
def engine(tmp_path: Path):
    with EngineProcess(tmp_path / "data", settings=SETTINGS) as engine:
        yield engine


@pytest.fixture
def world(engine: EngineProcess, tmp_path: Path):
    with remote_world(engine, tmp_path) as world:
        yield world


def agent_for(world, name="away", token=TOKEN, **options) -> AgentProcess:
    log_path = world.folder / f"{name}.log"
    return AgentProcess(log_path, world.engine.address("control"), token, name=name, **options)


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def family_of(agent: AgentProcess) -> list[int]:
    """The agent's workers and its zygote."""
    return [child.pid for child in psutil.Process(agent.pid).children(recursive=True)]


def ends_of(job):
    return [(attempt.cause, attempt.charged) for attempt in job.attempts]


def assert_never_overlapped(world, job_id):
    assert not [line for line in world.journal(job_id) if line.startswith("overlaps")]


def test_jobs_of_the_pool_survive_a_killed_and_a_stopped_worker_there(world):
    with agent_for(world) as agent:
        job_id = world.submit()
        killed = world.running(job_id, "away")
        assert killed.pid in family_of(agent)
        os.kill(killed.pid, signal.SIGKILL)

        stopped = world.running(job_id, "away", but_not=(killed.pid,))
        os.kill(stopped.pid, signal.SIGSTOP)
        world.running(job_id, "away", but_not=(killed.pid, stopped.pid))
        assert not is_alive(stopped.pid)
        world.release()

        job = world.ended(job_id)
        assert job.state == SUCCEEDED
        assert ends_of(job) == [("died", True), ("silent", True), ("completed", False)]
        assert "witness_jobs.py" in job.attempts[1].stack
        assert_never_overlapped(world, job_id)
        [slot] = world.workers("away")
        assert (slot.slot, slot.restarts, slot.last_cause) == ("away-0", 2, "silent")
        assert agent.pid


def test_job_of_a_killed_agent_goes_on_elsewhere_once_its_worker_is_dead_for_certain(world):
    with agent_for(world) as agent:
        job_id = world.submit()
        world.running(job_id, "away")
        left_behind = family_of(agent)
        with agent_for(world, "spare"):
            world.idle("spare")
            agent.signal(signal.SIGKILL)
            eventually(lambda: not any(map(is_alive, left_behind)), CHECK_DEADLINE_S)

            world.running(job_id, "spare")
            world.release()
            job = world.ended(job_id)
            assert job.state == SUCCEEDED
            assert ends_of(job) == [("host_lost", False), ("completed", False)]
            assert_never_overlapped(world, job_id)
            assert world.workers("away") == []


def test_agent_that_is_told_to_stop_hands_back_its_jobs_and_leaves_no_slot(world):
    with agent_for(world, workers=2) as agent:
        job_id = world.submit()
        world.running(job_id, "away")
        family = family_of(agent)
        agent.signal(signal.SIGTERM)
        assert agent.wait(10) == 0
        assert not any(map(is_alive, family))
        assert eventually(lambda: not world.workers("away"), 1.0)

        job = world.job(job_id)
        assert job.state == jobs_pb2.JOB_STATE_QUEUED
        assert ends_of(job) == [("host_lost", False)]
        assert "has left" in job.attempts[0].detail
        assert "connection" not in agent.log()
        assert '"level": "warning"' not in agent.log()
        assert "start_failed" not in world.engine.log_tail(1_000)
        with agent_for(world, "spare"):
            world.running(job_id, "spare")
            world.release()
            assert world.ended(job_id).state == SUCCEEDED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_agent_joins_the_restarted_engine_with_new_workers(tmp_path, number):
    fixed = (*SETTINGS, "shutdown.grace_s=1")
    with EngineProcess(tmp_path / "data", settings=fixed) as engine:
        control = engine.address("control")
        port = control.rpartition(":")[2]
        with AgentProcess(tmp_path / "away.log", control, TOKEN) as agent:
            with remote_world(engine, tmp_path) as world:
                job_id = world.submit()
                old = world.running(job_id, "away")
            engine.signal(number)
            engine.wait(30)
            again = EngineProcess(
                tmp_path / "data", settings=(*fixed, f"server_ports.control={port}")
            )
            with again, remote_world(again, tmp_path) as world:
                new = world.running(job_id, "away")
                assert new.pid != old.pid
                assert not is_alive(old.pid)
                world.release()
                job = world.ended(job_id)
                assert job.state == SUCCEEDED
                assert [end[1] for end in ends_of(job)] == [False, False]
                assert_never_overlapped(world, job_id)
                assert world.idle("away")
                assert agent.pid


def test_machine_that_was_cut_off_comes_back_too_late_to_change_anything(world):
    with agent_for(world) as agent:
        job_id = world.submit()
        old = world.running(job_id, "away")
        with agent_for(world, "spare"):
            world.idle("spare")
            agent.signal_all(signal.SIGSTOP)
            new = world.running(job_id, "spare")
            # It finds its work done, as soon as it can look.
            world.release(old.pid)
            agent.signal_all(signal.SIGCONT)
            eventually(lambda: not is_alive(old.pid))
            [fresh] = world.idle("away")
            assert fresh.worker_id != old.worker_id
            job = world.job(job_id)
            assert (job.state, job.worker_id) == (jobs_pb2.JOB_STATE_RUNNING, new.worker_id)

            world.release()
            job = world.ended(job_id)
            assert job.state == SUCCEEDED
            assert ends_of(job) == [("host_lost", False), ("completed", False)]
            assert json.loads(job.result_json) == {"pid": new.pid}


def test_uploads_are_processed_by_a_worker_there(world):
    with agent_for(world) as agent:
        [worker] = world.idle("away")
        upload_id = world.upload("profiles", PROFILES)
        upload = world.processed(upload_id)
        assert (upload.rows_accepted, upload.rows_rejected) == (1, 1)
        assert world.job(upload.job_id).worker_id == worker.worker_id
        assert agent.pid


def test_wrong_token_ends_the_command_with_one_clear_line(world):
    with agent_for(world, token="another") as agent:
        assert agent.wait() == 1
        [error] = [line for line in agent.log().splitlines() if line.startswith("error:")]
        assert "refuses this host" in error
        assert "token" in error
        assert "Traceback" not in agent.log()
        assert "another" not in agent.log()
        assert world.workers("away") == []


def test_over_tls_the_machine_believes_only_the_authority_it_was_given(tmp_path):
    authority = make_identity(tmp_path, "authority")
    server = make_identity(tmp_path, "server", signer=authority)
    stranger = make_identity(tmp_path, "stranger")
    settings = (
        *SETTINGS,
        f"security.tls_certificate={server.certificate}",
        f"security.tls_private_key={server.key}",
    )
    with (
        EngineProcess(tmp_path / "data", settings=settings) as engine,
        remote_world(engine, tmp_path, authority.certificate.read_bytes()) as world,
    ):
        with agent_for(world, arguments=["--tls-ca", str(stranger.certificate)]) as agent:
            assert agent.wait() == 1
            [error] = [line for line in agent.log().splitlines() if line.startswith("error:")]
            assert "is not believed" in error
        with agent_for(world, "plain") as agent:
            eventually(lambda: "cannot join the engine" in agent.log())
            assert TOKEN not in agent.log()
        arguments = ["--tls-ca", str(authority.certificate)]
        with agent_for(world, "trusting", arguments=arguments) as agent:
            job_id = world.submit()
            world.running(job_id, "trusting")
            world.release()
            assert world.ended(job_id).state == SUCCEEDED
            agent.signal(signal.SIGTERM)
            assert agent.wait() == 0
        with agent_for(world, "forger", "another", arguments=arguments) as agent:
            assert agent.wait() == 1
            assert "refuses this host" in agent.log()
