"""However a worker ends, the host says how, and nothing is left of it."""

import os
import signal

import pytest
import trio

from engine.workers.exits import WorkerExit
from engine.workers.host import ExitStatus, SpawnSpec
from tests.support.worker_host import (
    is_alive,
    marked_like,
    open_test_host,
    own_children,
    spawn,
    title_of,
    until,
    until_printed,
)

_before: set[int] = set()


@pytest.fixture(autouse=True)
def _children_of_earlier_tests():
    """Leave aside the servers that tests before these keep for their whole run."""
    _before.clear()
    _before.update(own_children())


def new_children():
    return [pid for pid in own_children() if pid not in _before]


@pytest.mark.parametrize("code", [0, 1, 3, 255])
async def test_exit_code_is_reported(tmp_path, code):
    async with open_test_host(tmp_path) as host:
        worker = await spawn(host, f"exit:{code}")
        assert await worker.wait() == ExitStatus(code, None)
        assert await worker.wait() == ExitStatus(code, None)
        assert not is_alive(worker.pid)


async def test_returned_reason_is_the_exit_code(tmp_path):
    async with open_test_host(tmp_path) as host:
        worker = await spawn(host, "return:64")
        assert (await worker.wait()).exit is WorkerExit.RECYCLED


async def test_failure_of_the_body_is_told_in_the_last_output(tmp_path):
    async with open_test_host(tmp_path) as host:
        worker = await spawn(host, "fail:no luck")
        assert (await worker.wait()).exit is WorkerExit.FAULTY
        assert worker.last_output()[-1] == "RuntimeError: no luck"


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGABRT", "SIGTERM", "SIGRTMIN"])
async def test_deadly_signal_is_reported(tmp_path, name):
    async with open_test_host(tmp_path) as host:
        worker = await spawn(host, f"raise_signal:{name}")
        status = await worker.wait()
        assert status == ExitStatus(None, getattr(signal, name))
        assert name in status.describe()


async def test_a_connection_that_somebody_closed_is_an_error_and_not_deadly(tmp_path):
    async with open_test_host(tmp_path) as host:
        worker = await spawn(host, "write_to_nobody")
        assert await worker.wait() == ExitStatus(5, None)


@pytest.mark.parametrize(
    "body",
    ["sleep", "loop_forever", "deadlock", "sleep_in_c", "hold_lock_in_c", "backtrack",
     "ignore_signals", "close_descriptors", "flood", "fork_children:5"],
)  # fmt: skip
async def test_hung_worker_is_killed(tmp_path, body):
    async with open_test_host(tmp_path) as host:
        worker = await spawn(host, body)
        with trio.fail_after(3):
            assert await worker.kill() == ExitStatus(None, signal.SIGKILL)
        assert not is_alive(worker.pid)
        assert await worker.kill() == ExitStatus(None, signal.SIGKILL)


async def test_stopped_worker_is_killed(tmp_path):
    async with open_test_host(tmp_path) as host:
        worker = await spawn(host, "sleep")
        os.kill(worker.pid, signal.SIGSTOP)
        with trio.fail_after(3):
            assert await worker.kill() == ExitStatus(None, signal.SIGKILL)


async def test_worker_dies_even_if_nobody_waits_for_its_killing(tmp_path):
    async with open_test_host(tmp_path) as host:
        worker = await spawn(host, "sleep")
        with trio.CancelScope() as scope:
            scope.cancel()
            await worker.kill()
        assert scope.cancelled_caught
        with trio.fail_after(3):
            await worker.wait()


@pytest.mark.parametrize("ends_by_itself", [True, False])
async def test_daemon_that_cut_every_tie_is_killed_with_its_worker(tmp_path, ends_by_itself):
    async with open_test_host(tmp_path) as host:
        worker = await spawn(host, f"leave_daemon:{'exit' if ends_by_itself else ''}")
        await until_printed(worker, "daemon left")
        if ends_by_itself:
            await worker.wait()
        else:
            await until(lambda: any(_is_daemon(pid) for pid in marked_like(worker.pid)))
            await worker.kill()
        assert not [pid for pid in new_children() if _is_daemon(pid)]
        assert not [pid for pid in marked_like(new_children()[0]) if _is_daemon(pid)]


def _is_daemon(pid):
    return title_of(pid).startswith("daemon")


async def test_another_workers_children_are_left_alone(tmp_path):
    async with open_test_host(tmp_path) as host:
        first = await spawn(host, "fork_children:2")
        second = await spawn(host, "fork_children:2")
        await until_printed(first, "forked")
        await until_printed(second, "forked")
        before = len(marked_like(second.pid))
        await first.kill()
        assert len(marked_like(second.pid)) == before - 3


async def test_own_child_of_the_engine_is_left_alone(tmp_path):
    async with open_test_host(tmp_path) as host, trio.open_nursery() as nursery:
        mine = await nursery.start(trio.run_process, ["sleep", "60"])
        worker = await spawn(host, "sleep")
        await worker.kill()
        assert is_alive(mine.pid)
        nursery.cancel_scope.cancel()


async def test_nothing_is_left_when_the_host_closes(tmp_path):
    async with open_test_host(tmp_path) as host:
        workers = [await spawn(host, body) for body in ("sleep", "fork_children:3", "exit:0")]
        await until_printed(workers[1], "forked")
        os.kill(workers[0].pid, signal.SIGSTOP)
        group = marked_like(workers[0].pid)
    assert not [pid for pid in group if is_alive(pid)]
    assert not new_children()
    assert not list((tmp_path / "workers").iterdir())


async def test_cancelled_spawn_leaves_no_worker(tmp_path):
    async with open_test_host(tmp_path) as host:
        for number, delay_s in enumerate((0, 0.001, 0.004, 0.008, 0.012, 0.016)):
            with trio.move_on_after(delay_s):
                worker = await host.spawn(SpawnSpec(f"late-{number}", "slot-1", "sleep", "late"))
                worker.kill_nowait()
        # The zygote answers in order: whatever was on the way has arrived, and been found a stray.
        last = await spawn(host, "sleep")
        await last.kill()
        await until(lambda: len(new_children()) == 1)
