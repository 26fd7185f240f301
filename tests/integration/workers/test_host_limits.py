"""What a worker may use, and what it is given."""

import ast
import os
import time
from pathlib import Path

import pytest
import trio

from engine.workers.page import Phase
from engine.workers.proctable import threads_of
from tests.support.worker_host import (
    is_alive,
    open_test_host,
    own_children,
    spawn,
    title_of,
    until,
)

MIB = 1 << 20


async def test_worker_starts_clean(tmp_path, monkeypatch):
    monkeypatch.setenv("TRELLIS_TEST_SECRET", "secret")
    async with open_test_host(tmp_path) as host:
        found = []
        for _ in range(2):
            worker = await spawn(host, "describe")
            assert (await worker.wait()).code == 0, worker.last_output()
            facts = dict(line.split(" ", 1) for line in worker.last_output())
            found.append({name: ast.literal_eval(value) for name, value in facts.items()})
        first, second = found
        assert "TRELLIS_TEST_SECRET" not in first["environment"]
        assert first["cwd"].startswith(str(tmp_path / "workers"))
        assert first["parent"] == os.getpid()
        assert first["session"]
        assert first["umask"] == 0o077
        assert first["stdin"] == b""
        assert first["threads"] == 1
        assert first["mask"] == []
        assert first["oom_score_adj"] >= 500
        assert [name.split(":")[0] for name in first["descriptors"]] == (
            ["/dev/null", "/memfd", "pipe", "pipe", "pipe"]
        )
        assert first["random"] != second["random"]


async def test_scratch_folder_is_removed(tmp_path):
    async with open_test_host(tmp_path) as host:
        worker = await spawn(host, "sleep")
        folder = tmp_path / "workers" / worker.worker_id
        (folder / "deep" / "down").mkdir(parents=True)
        await worker.kill()
        await until(lambda: not folder.exists())


async def test_title_is_what_ps_shows(tmp_path):
    async with open_test_host(tmp_path) as host:
        worker = await spawn(host, "sleep")
        assert title_of(worker.pid).startswith("trellis worker ")
        assert title_of(worker.pid).endswith(" test")


@pytest.mark.parametrize("body", ["hog:20", "hog_in_child:20"])
async def test_memory_hog_is_noticed(tmp_path, body):
    async with open_test_host(tmp_path, memory_hard_bytes=300 * MIB) as host:
        worker = await spawn(host, body)
        with trio.fail_after(10):
            used_bytes = await worker.wait_over_memory()
        assert 300 * MIB < used_bytes < 700 * MIB
        assert worker.memory_bytes() >= used_bytes
        await worker.kill()


async def test_sudden_memory_hog_gets_a_memory_error(tmp_path):
    async with open_test_host(tmp_path, memory_hard_bytes=300 * MIB) as host:
        worker = await spawn(host, "hog_at_once:8")
        assert (await worker.wait()).code == 42


@pytest.mark.parametrize("body", ["flood", "flood_with_empty_lines"])
async def test_flood_of_output_does_not_hold_up_the_engine(tmp_path, body):
    async with open_test_host(tmp_path) as host:
        worker = await spawn(host, body)
        latest_s = 0.0
        began_s = time.process_time()
        with trio.move_on_after(1.5):
            while True:
                due = trio.current_time() + 0.01
                await trio.sleep_until(due)
                latest_s = max(latest_s, trio.current_time() - due)
        assert latest_s < 0.15
        assert time.process_time() - began_s < 0.8
        assert is_alive(worker.pid)


async def test_dropped_lines_are_counted(tmp_path, caplog):
    async with open_test_host(tmp_path) as host:
        worker = await spawn(host, "flood")
        await until(lambda: any("dropped" in r.message for r in caplog.records) or worker.ended, 5)
        await worker.kill()
        dropped = [r.lines for r in caplog.records if r.getMessage() == "worker output dropped"]
        assert sum(dropped) > 100


async def test_odd_output_is_made_safe(tmp_path, caplog):
    caplog.set_level("INFO")
    async with open_test_host(tmp_path) as host:
        worker = await spawn(host, "print_oddly")
        await worker.wait()
        lines = worker.last_output()
        assert lines[0] == "ERROR plain"
        assert lines[1] == "\\\\xff\\\\xfe bytes"
        assert lines[2] == "red \\x07bell"
        assert len(lines[3]) <= 1_000
        assert lines[4] == "no end"
        levels = [r.levelname for r in caplog.records if getattr(r, "line", "") == "ERROR plain"]
        assert levels == ["ERROR"]


async def test_page_is_readable_after_death(tmp_path):
    async with open_test_host(tmp_path) as host:
        worker = await spawn(host, "exit:0")
        await worker.wait()
        view = worker.page()
        assert view.phase is Phase.RUNNING
        assert view.begun == 1
        assert view.running is not None


async def test_nothing_leaks_over_many_workers(tmp_path):
    async with open_test_host(tmp_path) as host:
        await (await spawn(host, "sleep")).kill()
        before = _resources()
        for round_number in range(200):
            worker = await spawn(host, ("sleep", "exit:1")[round_number % 2])
            await worker.kill()
        await until(lambda: not list((tmp_path / "workers").iterdir()))
        assert _resources() == before


def _resources():
    descriptors = len([*Path("/proc/self/fd").iterdir()])
    # Folders are removed by threads of Trio's pool, which come and go.
    many_threads = len(threads_of(os.getpid())) > 20
    return descriptors, many_threads, len(own_children())
