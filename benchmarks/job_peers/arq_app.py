"""The jobs in arq, and who sends them: see `job_peers/sending.py`."""

import asyncio
import os
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings

from benchmarks.job_marks import mark
from benchmarks.job_peers.sending import send_from_command_line

SETTINGS = RedisSettings.from_dsn(os.environ["JOBS_REDIS_URL"])


async def noop(context: dict[str, Any]) -> None:
    """The whole job."""


async def work(context: dict[str, Any], log: str, seconds: float) -> None:
    """Work for some seconds."""
    mark(log, "begin")
    await asyncio.sleep(seconds)


class WorkerSettings:
    """What `arq` is started with."""

    functions = (noop, work)
    redis_settings = SETTINGS


def main() -> None:
    """Send jobs through one connection."""
    loop = asyncio.new_event_loop()
    pool = loop.run_until_complete(create_pool(SETTINGS))

    def send(name: str, *arguments: object) -> None:
        loop.run_until_complete(pool.enqueue_job(name, *arguments))

    send_from_command_line(lambda: send("noop"), lambda *arguments: send("work", *arguments))


if __name__ == "__main__":
    main()
