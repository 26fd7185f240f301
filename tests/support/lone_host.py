"""A host in a process of its own, to be killed: `lone_host.py FOLDER BODY...`.

Prints the numbers of the zygote and the workers when all bodies run and those that fork have.
"""

import json
import sys
from pathlib import Path

import trio

from tests.support.worker_host import marked_like, open_test_host, spawn, until_printed


async def main(folder: str, *bodies: str) -> None:
    """Run workers until killed."""
    async with open_test_host(Path(folder)) as host:
        workers = [await spawn(host, body) for body in bodies]
        for worker, body in zip(workers, bodies, strict=True):
            if body.startswith("fork_children"):
                await until_printed(worker, "forked")
            if body.startswith("leave_daemon"):
                await until_printed(worker, "daemon left")
        sys.stdout.write(json.dumps(marked_like(workers[0].pid)) + "\n")
        sys.stdout.flush()
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
