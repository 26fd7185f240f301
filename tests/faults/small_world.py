"""An engine with facilities, for tests of one family of faults at a time."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import attrs
import psutil
import trio

from tests.faults.registry import SERVER_PORTS, Facility, Installed, Site, Target
from tests.faults.steady_load import JOB_TYPES_SETTING, EngineClient
from tests.support.broker_process import free_port
from tests.support.engine_process import EngineProcess

QUICK_SETTINGS = (
    "workers.check_interval_s=0.2",
    "workers.check_deadline_s=3",
    "workers.retry_first_s=0.1",
    "shutdown.grace_s=3",
    JOB_TYPES_SETTING,
)


@asynccontextmanager
async def open_world(
    folder: Path,
    facilities: Sequence[Facility] = (),
    *,
    seed: int = 1,
    settings: Sequence[str] = (),
) -> AsyncIterator[Target]:
    """Run an engine that leases quickly, beside the facilities, while the block runs."""
    ports = {key: free_port() for key in SERVER_PORTS}
    site = Site(folder, ports, seed)
    async with AsyncExitStack() as stack:
        installed: dict[str, Installed] = {}
        for facility in facilities:
            installed[facility.name] = await stack.enter_async_context(facility.open(site))
        everything = [
            *QUICK_SETTINGS,
            *(f"server_ports.{key}={port}" for key, port in ports.items()),
            *settings,
            *(setting for one in installed.values() for setting in one.settings),
        ]
        # Open to those who count its descriptors.
        environment = {"TRELLIS_DEBUG": "memory"}
        for one in installed.values():
            environment |= one.environment
        engine = EngineProcess(folder / "data", settings=everything, environment=environment)
        try:
            await trio.to_thread.run_sync(engine.start)
            yield Target(
                engine,
                folder,
                settings=tuple(everything),
                facilities={name: one.handle for name, one in installed.items()},
                client_addresses={
                    key: address
                    for one in installed.values()
                    for key, address in one.addresses.items()
                },
            )
        finally:
            engine.__exit__(None, None, None)


def client_of(target: Target) -> EngineClient:
    """Return a client that goes by way of the proxies, if there are any."""
    return EngineClient(
        uploads=target.address("service_a"),
        jobs=target.address("service_d"),
        features=target.address("service_b"),
    )


@attrs.frozen
class Footprint:
    """What a process holds."""

    descriptors: int
    threads: int
    memory_bytes: int


def read_footprint(pid: int) -> Footprint:
    """Return what a running process holds now."""
    process = psutil.Process(pid)
    with process.oneshot():
        return Footprint(process.num_fds(), process.num_threads(), process.memory_info().rss)
