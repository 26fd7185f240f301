"""Workers that the kernel holds back: killed, and there all the same.

No test can put a process into such a state, so what these leave out is the delivery of the signal.
"""

import os
import signal

import pytest
import trio

from engine.errors import StartFailedError
from engine.workers import local_host, process
from engine.workers.host import ExitStatus
from tests.support.worker_host import is_alive, marked_like, open_test_host, spawn, title_of, until

LINGERING = ExitStatus(None, signal.SIGKILL, lingers=True)


@pytest.fixture
def hold_back(monkeypatch):
    """Keep workers from being killed; what is returned lets it happen again."""
    monkeypatch.setattr(process, "_UNKILLABLE_S", 0.3)
    monkeypatch.setattr(local_host, "_LINGERING_MAX", 1)
    send, kill_group, held = signal.pidfd_send_signal, os.killpg, set()

    def send_unless_held(pidfd, number, *more):
        if pidfd not in held or number != signal.SIGKILL:
            send(pidfd, number, *more)

    def kill_group_unless_held(pid, number):
        if pid not in held:
            kill_group(pid, number)

    monkeypatch.setattr(process.signal, "pidfd_send_signal", send_unless_held)
    monkeypatch.setattr(process.os, "killpg", kill_group_unless_held)

    def hold(worker):
        held.update({worker._pidfd, worker.pid})
        return held.clear

    return hold


async def test_it_counts_as_ended_in_time_and_is_reaped_when_it_goes(tmp_path, hold_back, caplog):
    async with open_test_host(tmp_path) as host:
        worker = await spawn(host, "leave_daemon")
        await until(lambda: "daemon left" in worker.last_output())
        daemons = [pid for pid in marked_like(worker.pid) if title_of(pid).startswith("daemon")]
        assert daemons
        let_go = hold_back(worker)
        with trio.fail_after(2):
            assert await worker.kill() == LINGERING
        assert worker.lingers
        # It would adopt them only with its end, so they are seen to before.
        assert not any(map(is_alive, daemons))
        assert [r.state for r in caplog.records if r.getMessage() == "worker cannot be killed"]
        with pytest.raises(StartFailedError, match="1 killed workers are held back"):
            await spawn(host, "sleep")
        let_go()
        worker.kill_nowait()
        await until(lambda: not worker.lingers)
        assert await worker.wait() == LINGERING
        assert not is_alive(worker.pid)
        await (await spawn(host, "sleep")).kill()


async def test_the_host_closes_in_time_all_the_same(tmp_path, hold_back, caplog):
    with trio.fail_after(8):
        async with open_test_host(tmp_path) as host:
            worker = await spawn(host, "sleep")
            hold_back(worker)
    assert [r.pids for r in caplog.records if r.getMessage() == "killed workers are left behind"]
    os.kill(worker.pid, signal.SIGKILL)
    await until(lambda: os.waitpid(worker.pid, os.WNOHANG)[0] == worker.pid)
