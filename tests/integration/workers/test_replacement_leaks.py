"""Workers come and go; what the engine holds for them goes as well."""

import os
import signal
import threading

import trio

from tests.support.worker_host import open_test_host, own_children, spawn, until, until_printed

REPLACEMENTS = 30
PATIENCE_S = 60.0
"""What a cancelled start has left is looked for every few seconds."""


def holdings(folder):
    """Return what this process holds now, by kind."""
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - as it is
        "threads": threading.active_count(),
        "tasks": trio.lowlevel.current_statistics().tasks_living,
        "children": len(own_children()),
        "folders": len([*folder.iterdir()]),
    }


async def replace(host, number):
    """Start a worker and have it end, each time in another way."""
    match number % 4:
        case 0:
            await (await spawn(host, "return:64")).wait()
        case 1:
            worker = await spawn(host, "fork_children:2")
            await until_printed(worker, "forked")
            await worker.kill()
        case 2:
            worker = await spawn(host, "loop_forever")
            await worker.capture_stacks(1.0)
            os.kill(worker.pid, signal.SIGSEGV)
            await worker.wait()
        case _:
            with trio.move_on_after(0.002):
                await (await spawn(host, "sleep")).kill()


async def test_nothing_is_kept_of_workers_that_have_ended(tmp_path):
    folder = tmp_path / "workers"
    others = len(own_children())
    async with open_test_host(tmp_path) as host:
        steady = await spawn(host, "sleep")
        for number in range(8):
            await replace(host, number)
        # The zygote and the steady worker; those that were replaced are gone.
        await until(
            lambda: len([*folder.iterdir()]) == 1 and len(own_children()) == others + 2, PATIENCE_S
        )
        before = holdings(folder)
        for number in range(REPLACEMENTS):
            await replace(host, number)
        # What a cancelled start has left is found within seconds; folders go in threads, one of
        # which may have been at work when the holdings were looked at first.
        await until(
            lambda: all(now <= before[kind] for kind, now in holdings(folder).items()), PATIENCE_S
        )
        await steady.kill()
    assert not os.listdir(folder)  # noqa: PTH208 - as above
