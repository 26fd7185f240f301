"""A zygote that dies or hangs is replaced; its workers do not notice."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
import trio

from engine.errors import StartFailedError
from engine.workers import zygote_client, zygote_wire
from engine.workers.host import SpawnSpec
from engine.workers.local_host import LocalHostSettings, open_local_host
from engine.workers.marks import new_mark
from engine.workers.proctable import children_of
from engine.workers.zygote_client import Zygote
from engine.workers.zygote_process import start_zygote
from engine.workers.zygote_wire import ZygoteConfig
from tests.support.worker_host import (
    NOWHERE,
    is_alive,
    marked_like,
    open_test_host,
    spawn,
    title_of,
    until,
)


def zygotes_of(worker):
    """Return the zygotes of a worker's host, by what `ps` shows of them."""
    return [pid for pid in marked_like(worker.pid) if title_of(pid) == "trellis zygote"]


def zygote_of(worker):
    (zygote,) = zygotes_of(worker)
    return zygote


async def test_killed_zygote_is_replaced_and_its_workers_live_on(tmp_path):
    async with open_test_host(tmp_path) as host:
        worker = await spawn(host, "sleep")
        os.kill(zygote_of(worker), signal.SIGKILL)
        another = await _spawn_in_the_end(host)
        assert is_alive(worker.pid)
        assert not worker.ended
        assert "in _sleep" in await worker.capture_stacks(1.0)
        await worker.kill()
        await another.kill()


async def test_stopped_zygote_is_replaced_before_anybody_needs_it(tmp_path, monkeypatch):
    monkeypatch.setattr(zygote_client, "_PING_INTERVAL_S", 0.1)
    monkeypatch.setattr(zygote_client, "_SILENT_S", 0.5)
    async with open_test_host(tmp_path) as host:
        worker = await spawn(host, "sleep")
        stopped = zygote_of(worker)
        os.kill(stopped, signal.SIGSTOP)
        await until(lambda: not is_alive(stopped))
        await (await _spawn_in_the_end(host)).kill()
        assert is_alive(worker.pid)


async def test_zygote_that_is_stopped_while_it_starts_is_replaced_soon(tmp_path, monkeypatch):
    monkeypatch.setattr(zygote_client, "_PING_INTERVAL_S", 0.2)
    async with open_test_host(tmp_path, preload=("pandas",)) as host:
        worker = await spawn(host, "sleep")
        first = zygote_of(worker)
        os.kill(first, signal.SIGKILL)
        await until(lambda: zygotes_of(worker) not in ([], [first]))
        [starting] = [pid for pid in zygotes_of(worker) if pid != first]
        os.kill(starting, signal.SIGSTOP)
        with trio.fail_after(10):
            await (await _spawn_in_the_end(host)).kill()
        assert not is_alive(starting)


async def test_zygote_killed_again_and_again_while_workers_start_costs_no_worker(tmp_path):
    async with open_test_host(tmp_path) as host:
        steady = await spawn(host, "sleep")
        started = []

        async def start():
            started.append(await _spawn_in_the_end(host))

        for number in range(5):
            await until(lambda: zygotes_of(steady))
            killed = zygote_of(steady)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(start)
                # From before the request is sent until after its answer has come.
                await trio.sleep(0.004 * number)
                os.kill(killed, signal.SIGKILL)
            await until(lambda killed=killed: not is_alive(killed))
        assert len({worker.pid for worker in started}) == 5
        assert all(is_alive(worker.pid) for worker in [steady, *started])
        for worker in started:
            await worker.kill()
        # Workers that were forked and of which nobody heard are found, too.
        await until(lambda: set(marked_like(steady.pid)) == {steady.pid, *zygotes_of(steady)})


async def test_spawn_by_a_stopped_zygote_fails_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(zygote_client, "_SPAWN_S", 0.3)
    async with open_test_host(tmp_path) as host:
        worker = await spawn(host, "sleep")
        stopped = zygote_of(worker)
        os.kill(stopped, signal.SIGSTOP)
        with trio.fail_after(2), pytest.raises(StartFailedError, match="did not fork within"):
            await spawn(host, "sleep")
        await until(lambda: not is_alive(stopped))
        await (await _spawn_in_the_end(host)).kill()


async def test_zygote_that_forks_for_many_one_after_the_other_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(zygote_client, "_SPAWN_S", 1.5)
    workers = []
    async with open_test_host(tmp_path) as host:
        zygote = zygote_of(await spawn(host, "sleep"))

        async def fork(place):
            title = f"trellis worker {place} test"
            workers.append(await host.spawn(SpawnSpec(f"many-{place}", "slot-1", "sleep", title)))

        asked_at = trio.current_time()
        async with trio.open_nursery() as nursery:
            for place in range(40):
                nursery.start_soon(fork, place)
            # As on a machine with much to do: it gets the processor for a fork or two at a time.
            while trio.current_time() < asked_at + 2.0:
                os.kill(zygote, signal.SIGSTOP)
                await trio.sleep(0.5)
                before = len(workers)
                os.kill(zygote, signal.SIGCONT)
                await until(lambda before=before: len(workers) > before or len(workers) == 40)
        assert len(workers) == 40
        assert is_alive(zygote)
        for worker in workers:
            await worker.kill()


@pytest.mark.parametrize("op", ["ping", "spawn"])
def test_zygote_that_was_about_to_answer_when_the_engine_died_sweeps_all_the_same(tmp_path, op):
    mark = new_mark(tmp_path)
    config = ZygoteConfig(
        mark=mark.limit, import_paths=sys.path, preload=[], entry="json:loads", worker={}
    )
    zygote = start_zygote(config, mark.variable, tmp_path)
    daemon = subprocess.Popen(["sleep", "60"], env=mark.variable)
    try:
        zygote.channel.settimeout(10)
        assert zygote_wire.receive(zygote.channel)[0]["op"] == "ready"
        os.kill(zygote.pid, signal.SIGSTOP)
        with Path(os.devnull).open("wb") as nowhere:
            request = {"op": op, "id": 1, "spec": {"folder": str(tmp_path), "title": "worker"}}
            zygote_wire.send(zygote.channel, request, (nowhere.fileno(),) * 3)
        zygote.close()
        os.close(zygote.output_fd)
        os.kill(zygote.pid, signal.SIGCONT)
        assert daemon.wait(10) == -signal.SIGKILL
        assert zygote.popen.wait(10) == 0
    finally:
        daemon.kill()
        daemon.wait()
        zygote.popen.kill()
        zygote.popen.wait()


async def test_missing_import_is_told_and_does_not_keep_workers_from_starting(tmp_path, caplog):
    async with open_test_host(tmp_path, preload=("no_such_module",)) as host:
        assert (await (await spawn(host, "return:0")).wait()).code == 0
    [told] = [r.detail for r in caplog.records if r.getMessage() == "zygote import failed"]
    assert told.startswith("no_such_module: ModuleNotFoundError")


async def test_zygote_that_cannot_start_fails_spawns_with_the_reason(tmp_path):
    settings = LocalHostSettings(data_dir=tmp_path, entry="no_such_module:main", preload=())
    async with open_local_host(attrs.evolve(settings, start_timeout_s=1.0), NOWHERE) as host:
        with pytest.raises(StartFailedError, match="No module named 'no_such_module'"):
            await host.spawn(SpawnSpec("worker", "slot-1", "sleep", "title"))
        assert not list((tmp_path / "workers").iterdir())


async def _spawn_in_the_end(host):
    """Spawn as a supervisor does: with a new name after a failure."""
    with trio.fail_after(10):
        while True:
            try:
                return await spawn(host, "sleep")
            except StartFailedError:
                await trio.sleep(0.01)


def open_descriptors():
    return {link.name for link in Path("/proc/self/fd").iterdir()}


async def test_a_start_that_fails_half_way_leaves_nothing(tmp_path, monkeypatch):
    def refuse(pid):
        raise OSError(errno.EMFILE, "no descriptor left")

    descriptors, children = open_descriptors(), children_of(os.getpid())
    config = ZygoteConfig(mark=0, import_paths=[], preload=[], entry="none:none", worker={})
    with monkeypatch.context() as patch:
        patch.setattr(os, "pidfd_open", refuse)
        with pytest.raises(OSError, match="no descriptor left"):
            Zygote(config, {}, tmp_path, set())
    assert open_descriptors() == descriptors
    assert children_of(os.getpid()) == children
