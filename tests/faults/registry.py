"""What a fault from outside is, what it is given, and which ones there are.

A campaign runs in *worlds*: an engine with its data folder, its servers either embedded or owned by
the harness, perhaps with proxies between them. A `Facility` opens what a world has beside the
engine; a `Fault` is done to the running world, which it leaves as it found it.
"""

import importlib
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import attrs
import trio

from engine.workers.proctable import children_of, read_stat
from tests.support.engine_process import EngineProcess

MODULES = (
    "tests.faults.process_faults",
    "tests.faults.upload_faults",
    "tests.faults.kept_broker",
    "tests.faults.network_faults",
    "tests.faults.clock",
    "tests.faults.disk",
    "tests.faults.timing",
    "tests.faults.old_rows",
    "tests.faults.retention_faults",
    "tests.faults.backups",
    "tests.faults.slot_faults",
)
"""Modules with a sequence `FAULTS` or `FACILITIES`, or both."""

SERVER_PORTS = ("service_a", "service_b", "service_d", "control", "metrics")


Audit = Callable[[Path], list[str]]
"""Looks into the data folder of a stopped engine; returns what is wrong."""


class NothingToHitError(Exception):
    """A fault has found nothing that it could be done to."""


class Fault(Protocol):
    """Something bad that is done from outside.

    The same target state and `rng` give the same fault, so that a campaign can be replayed.
    """

    @property
    def name(self) -> str:
        """What the report and `--only` call it, such as `kill_worker`."""

    @property
    def needs(self) -> frozenset[str]:
        """Names of the facilities without which it cannot be done."""

    @property
    def may_cause(self) -> frozenset[str]:
        """Causes of ended attempts that it explains, whichever job they hit, such as `silent`.

        Not what befalls a single worker: that is said with `Target.note_hit`.
        """

    async def inject(self, target: "Target", rng: random.Random) -> str:
        """Do it, mend it, and return one line that says what was done.

        Raises:
          NothingToHitError: it was not done.
          trio.TooSlowError: what it waits for should have been there.
        Cancellation: mends it first.
        """


class RemoteHost(Protocol):
    """Another machine with workers, as far as a process on this one can be that."""

    def find_left(self) -> list[str]:
        """Return what is there beside its agent, its zygote and its workers."""

    def end(self) -> list[str]:
        """End its agent in order; return what that has left."""


@attrs.frozen
class Installed:
    """What a facility has opened.

    Attributes:
      handle: for the faults that need the facility; they know its type.
      settings: `section.key=value` for the engine, stronger than the campaign's own.
      environment: for the engine.
      addresses: `host:port` by key of `server_ports`, to be used by clients (for `control`: by
        remote workers) in place of the engine's own. And as `kafka`, where to send events if what
        the broker acknowledges there outlives the engine.
      remote_hosts: those it runs.
      program: what to start in place of main.py.
      audits: looks into the data folder of the engine once it has been stopped; each returns what
        is wrong.
    """

    handle: Any
    settings: tuple[str, ...] = ()
    environment: Mapping[str, str] = attrs.field(factory=dict)
    addresses: Mapping[str, str] = attrs.field(factory=dict)
    remote_hosts: Sequence[RemoteHost] = ()
    program: Path | None = None
    audits: Sequence["Audit"] = ()


@attrs.frozen
class Site:
    """Where a facility is opened: before the engine starts, for as long as the world lasts.

    Attributes:
      folder: the world's own; the engine's data folder will be `data` in it.
      ports: by key of `server_ports`, those that every engine of this world will bind on loopback.
      seed: of the campaign.
    """

    folder: Path
    ports: Mapping[str, int]
    seed: int


class Facility(Protocol):
    """Something that a world may have beside the engine, such as proxies or a small disk."""

    @property
    def name(self) -> str:
        """What faults need it by."""

    def open(self, site: Site) -> AbstractAsyncContextManager[Installed]:
        """Provide it while the block runs."""


@attrs.frozen
class Processes:
    """The engine's children by what they are; a number is missing while there is no such child.

    Attributes:
      workers: process numbers by slot, such as `any-0`.
    """

    engine: int
    zygote: int | None
    redis: int | None
    broker: int | None
    workers: Mapping[str, int]


@attrs.frozen
class Hit:
    """A fault that befell one process; `causes` are those that the attempt in it may end with."""

    fault: str
    pid: int
    start_ticks: int
    at_ns: int
    causes: frozenset[str]


@attrs.define
class EngineEnd:
    """An end of the engine; `causes` are those that attempts under way may end with.

    `until_ns` is when the next one was ready; None: not yet.
    """

    at_ns: int
    causes: frozenset[str]
    until_ns: int | None = None


@attrs.define
class Target:
    """The world under test."""

    engine: EngineProcess
    """The running one, or for some seconds the one that has just been killed."""
    folder: Path
    settings: tuple[str, ...] = ()
    facilities: Mapping[str, Any] = attrs.field(factory=dict)
    """Handles by facility."""
    client_addresses: Mapping[str, str] = attrs.field(factory=dict)
    remote_hosts: Sequence["RemoteHost"] = ()
    lease_s: float = 5.0
    """For how long a worker may be silent."""
    hits: list[Hit] = attrs.field(factory=list)
    engine_ends: list[EngineEnd] = attrs.field(factory=list)
    violations: list[str] = attrs.field(factory=list)
    """What a fault itself found to be wrong."""
    audits: list[Audit] = attrs.field(factory=list)
    """What is to be looked at when the engine has been stopped; faults add theirs."""
    engine_lock: trio.Lock = attrs.field(factory=trio.Lock)
    """Held by a fault that ends the engine, or that must not find it gone."""

    @property
    def data_dir(self) -> Path:
        return self.engine.data_dir

    @property
    def engine_pid(self) -> int:
        return self.engine.pid

    def address(self, port: str) -> str:
        """Return where clients find a port, by its key of `server_ports`."""
        return self.client_addresses.get(port) or self.engine.address(port)

    def processes(self) -> Processes:
        """Look at the process table. Blocks for about a millisecond."""
        engine = self.engine.pid
        zygote = redis = broker = None
        workers: dict[str, int] = {}
        # The engine adopts its workers. What a dead one has forked is adopted as well, and bears
        # its title, but is younger.
        for pid in sorted(children_of(engine), key=_start_of):
            match title_of(pid).split():
                case ["trellis", "zygote", *_]:
                    zygote = pid
                case ["trellis", "worker", slot, *_]:
                    workers.setdefault(slot, pid)
                case [program, *_] if "redis-server" in program:
                    redis = pid
                case [program, "broker", *_] if program.endswith("tansu"):
                    broker = pid
                case _:
                    pass
        return Processes(engine, zygote, redis, broker, workers)

    def note_hit(self, fault: str, pid: int, causes: Iterable[str]) -> None:
        """Say that a process is about to be hit, before it is: the audit expects the consequences.

        Args:
          causes: those that the attempt under way in it may end with.
        """
        stat = read_stat(pid)
        if stat is not None:
            now_ns = time.monotonic_ns()
            self.hits.append(Hit(fault, pid, stat.start_ticks, now_ns, frozenset(causes)))

    def note_engine_end(self, causes: Iterable[str]) -> None:
        """Say that the engine is about to be ended. `engine_lock` is held."""
        self.engine_ends.append(EngineEnd(time.monotonic_ns(), frozenset(causes)))

    def note_engine_start(self) -> None:
        """Say that the next engine is ready. `engine_lock` is held."""
        self.engine_ends[-1].until_ns = time.monotonic_ns()


def title_of(pid: int) -> str:
    """Return what `ps` shows of a process, nothing if it is gone."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return line.replace(b"\0", b" ").decode(errors="replace").strip()


def collect_faults(modules: Sequence[str] = MODULES) -> dict[str, Fault]:
    """Return all faults from outside by name."""
    found: dict[str, Fault] = {}
    for module in modules:
        faults = getattr(importlib.import_module(module), "FAULTS", ())
        found |= {fault.name: fault for fault in faults}
    return found


def collect_facilities(modules: Sequence[str] = MODULES) -> dict[str, Facility]:
    """Return all facilities by name."""
    found: dict[str, Facility] = {}
    for module in modules:
        facilities = getattr(importlib.import_module(module), "FACILITIES", ())
        found |= {facility.name: facility for facility in facilities}
    return found


def _start_of(pid: int) -> int:
    stat = read_stat(pid)
    return 0 if stat is None else stat.start_ticks
