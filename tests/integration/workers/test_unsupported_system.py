"""An engine on a system where no worker processes can run."""

import contextlib
import subprocess
import sys

from engine.app_workers import open_workforce
from engine.config import load_config
from engine.errors import FailedPreconditionError
from engine.health import HealthBoard
from engine.jobs import Cause, JobSpec, JobState
from engine.store import StoreSettings, open_store
from engine.workers.views import SlotState
from tests.integration.jobs.world import UnreliableClient, World
from tests.support.engine_process import ROOT
from tests.support.redis_servers import running_server
from tests.support.worker_host import until

PARKED = {SlotState.PARKED}
NO_LINUX = """
import fcntl, os, resource, signal, socket, ssl, subprocess, trio
absent = {
    os: "pidfd_open memfd_create MFD_CLOEXEC MFD_ALLOW_SEALING P_PIDFD waitid pipe2 WNOWAIT"
        " sched_getaffinity CLD_EXITED",
    signal: "SIGRTMAX SIGRTMIN sigtimedwait pidfd_send_signal",
    socket: "MSG_CMSG_CLOEXEC",
    resource: "RLIMIT_RTTIME",
    fcntl: "F_ADD_SEALS F_SEAL_SHRINK F_SEAL_GROW F_SEAL_SEAL",
}
for module, names in absent.items():
    for name in names.split():
        delattr(module, name)
import engine.app, engine.workers.linux
try:
    engine.workers.linux.require_linux()
except engine.errors.FailedPreconditionError as error:
    print(error)
"""


def test_the_engine_can_be_imported_and_knows_that_it_can_have_no_workers():
    done = subprocess.run(
        [sys.executable, "-c", NO_LINUX], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("worker processes need Linux 5.4 or newer"), done.stderr


async def test_it_starts_says_so_and_jobs_wait(tmp_path, caplog):
    def refuse():
        raise FailedPreconditionError("worker processes need another system")

    config = load_config(ROOT / "configs", tmp_path, ["server_ports.control=0"], {})
    health = HealthBoard()
    with running_server("redis6") as server, contextlib.closing(UnreliableClient(server)) as client:
        async with open_store(StoreSettings(path=tmp_path / "trellis.duckdb")) as store:
            world = World(store, server, client)
            async with (
                world.open() as jobs,
                open_workforce(
                    config, store, jobs, None, None, health, check_support=refuse
                ) as workforce,
            ):
                job = await jobs.submit(JobSpec("echo", {}))
                supervisor = workforce.supervisor
                await until(lambda: {v.state for v in supervisor.list_workers()} == PARKED)
                views = supervisor.list_workers()
                assert len(views) == config.workers.max_python_workers
                assert {view.last_end.cause for view in views} == {Cause.START_FAILED}
                assert (await jobs.get(job.job_id)).state is JobState.QUEUED
                part = health.snapshot()["workers"]
                assert (part.ok, part.required) == (False, False)
                assert part.detail == views[0].last_end.detail
                assert part.detail.startswith("worker processes need another system; jobs wait")
    assert "no workers on this machine" in caplog.messages
