"""An engine to be ill-treated: its configuration, its surroundings, and those who use it."""

import random
import shutil
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import trio
import yaml

from engine.backends.loopback_port import is_free
from tests.faults import plan
from tests.faults.api import Api
from tests.faults.job_log import make_log
from tests.faults.misdeeds import SOFT_BYTES
from tests.faults.process_faults import EMBEDDED_KAFKA, EMBEDDED_REDIS
from tests.faults.registry import SERVER_PORTS, Facility, Installed, Site, Target
from tests.support.engine_process import MAIN, ROOT, EngineProcess

WORKERS: Final = 4
CHECK_DEADLINE_S: Final = 1.5
STALL_S: Final = 3.0
_READY_S: Final = 120.0
_POLL_S: Final = 0.1
_STOP_S: Final = 60.0
_FIRST_PORT, _LAST_PORT = 12_000, 19_999  # below those of outgoing connections and the engine's own
_EMBEDDED_WITHOUT: Final = {
    "redis.url": EMBEDDED_REDIS,
    "kafka.bootstrap_servers": EMBEDDED_KAFKA,
}

WORKER_SETTINGS: Final[Mapping[str, Any]] = {
    "max_python_workers": WORKERS,
    "pools": {"reserved": 1},
    "check_interval_s": 0.25,
    "check_deadline_s": CHECK_DEADLINE_S,
    "stall_s": STALL_S,
    "cancel_grace_s": 1.0,
    "retry_first_s": 0.2,
    "retry_longest_s": 1.0,
    "memory_soft_bytes": SOFT_BYTES,
    "memory_hard_bytes": 2 * SOFT_BYTES,
    # Far more workers die here than any sane engine would go on with.
    "restart_intensity": 10_000,
    "restart_period_s": 2.0,
    "restart_longest_s": 0.5,
    "job_types": {
        plan.JOB_TYPE: {"handler": "tests.faults.jobs:run", "max_attempts": plan.MAX_ATTEMPTS},
        plan.SHORT_LIVED: {
            "handler": "tests.faults.jobs:run",
            "max_attempts": plan.SHORT_LIVED_ATTEMPTS,
        },
        plan.RESERVED: {
            "handler": "tests.faults.jobs:run",
            "pool": "reserved",
            "max_attempts": plan.MAX_ATTEMPTS,
        },
        "process_upload": {"max_attempts": plan.MAX_ATTEMPTS},
    },
}


@attrs.frozen
class World:
    """A running engine and what is around it."""

    target: Target
    api: Api
    log_folder: Path
    kafka: str | None
    """A broker that outlives the engine, if there is one."""
    tags: frozenset[str]
    """What faults may need of it: names of facilities, and those of servers of the engine's own."""

    @property
    def data_file(self) -> Path:
        return self.target.data_dir / "trellis.duckdb"


@asynccontextmanager
async def open_world(
    folder: Path, facilities: Sequence[Facility], *, seed: int
) -> AsyncIterator[World]:
    """Run an engine with its surroundings while the block runs.

    The caller ends the engine itself; what still runs at the end of the block is killed.
    """
    log_folder = make_log(folder / "log")
    ports = _choose_ports()
    async with AsyncExitStack() as stack:
        installed: dict[str, Installed] = {}
        for facility in facilities:
            opened = facility.open(Site(folder, ports, seed))
            installed[facility.name] = await stack.enter_async_context(opened)
        addresses = {
            key: address for one in installed.values() for key, address in one.addresses.items()
        }
        settings = [
            *(f"server_ports.{name}={port}" for name, port in ports.items()),
            "shutdown.grace_s=3s",
            "duckdb.memory_limit_bytes=256MiB",
            # Or what the engine keeps of the uploads of later rounds would look like a leak.
            "online.max_bytes=64MiB",
            *(setting for one in installed.values() for setting in one.settings),
        ]
        # Open to those who count its descriptors.
        environment = {"TRELLIS_DEBUG": "memory"}
        for one in installed.values():
            environment |= one.environment
        engine = EngineProcess(
            folder / "data",
            settings=settings,
            config_dir=_write_configuration(folder / "configs"),
            environment=environment,
            ready_within_s=_READY_S,
            program=_program_of(installed.values()),
        )
        stack.callback(engine.__exit__, None, None, None)
        await trio.to_thread.run_sync(engine.start)
        target = Target(
            engine,
            folder,
            settings=tuple(settings),
            facilities={name: one.handle for name, one in installed.items()},
            client_addresses=addresses,
            remote_hosts=[host for one in installed.values() for host in one.remote_hosts],
            lease_s=_lease_of(settings),
            audits=[audit for one in installed.values() for audit in one.audits],
        )
        tags = {*installed}
        for key, tag in _EMBEDDED_WITHOUT.items():
            if not any(setting.startswith(f"{key}=") for setting in settings):
                tags.add(tag)
        with Api(target) as api:
            await _wait_staffed(target)
            yield World(target, api, log_folder, addresses.get("kafka"), frozenset(tags))


async def _wait_staffed(target: Target) -> None:
    """Wait until there is somebody to be hit."""
    with trio.fail_after(_READY_S):
        while len(target.processes().workers) < WORKERS:  # noqa: ASYNC110 - nobody tells
            await trio.sleep(_POLL_S)


async def stop_engine(world: World) -> int:
    """Ask the engine for an orderly stop; return its exit code."""
    return await trio.to_thread.run_sync(world.target.engine.stop, _STOP_S)


def _program_of(installed: Iterable[Installed]) -> Path:
    programs = [one.program for one in installed if one.program is not None]
    return programs[-1] if programs else MAIN


def _lease_of(settings: Sequence[str]) -> float:
    key = "workers.check_deadline_s="
    leases = [float(one.removeprefix(key)) for one in settings if one.startswith(key)]
    return leases[-1] if leases else CHECK_DEADLINE_S


def _write_configuration(folder: Path) -> Path:
    shutil.copytree(ROOT / "configs", folder)
    path = folder / "app.yaml"
    sections = yaml.safe_load(path.read_text())
    sections["workers"] = dict(WORKER_SETTINGS)
    path.write_text(yaml.safe_dump(sections))
    # Models that learn have jobs that nobody here submits, one of which never ends.
    (folder / "models.yaml").write_text("models: {}\n")
    return folder


def _choose_ports() -> dict[str, int]:
    """Choose ports that stay the engine's own while it is being restarted."""
    # Not of the seed: campaigns side by side must not meet.
    numbers = random.SystemRandom().sample(range(_FIRST_PORT, _LAST_PORT), 200)
    free = (number for number in numbers if is_free(number))
    return {name: next(free) for name in SERVER_PORTS}
