"""A host agent in a process of its own: `lone_agent.py PORT TOKEN FOLDER`."""

import sys
from pathlib import Path

import trio

from engine.workers.host import EngineAddress
from engine.workers.host_agent import AgentSettings, run_host_agent


async def main(port: str, token: str, folder: str) -> None:
    """Run until killed."""
    settings = AgentSettings(
        engine=EngineAddress("127.0.0.1", int(port), token),
        name="lone",
        pool="default",
        workers=1,
        data_dir=Path(folder),
        preload=("engine.tasks.rpc_link",),
    )
    await run_host_agent(settings, trio.Event())


if __name__ == "__main__":
    trio.run(main, *sys.argv[1:])
