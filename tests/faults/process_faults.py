"""Signals from outside, at any moment: to workers, the zygote, the servers and the engine."""

import os
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import attrs
import trio

from tests.faults.api import Api
from tests.faults.registry import Fault, Processes, Target

T = TypeVar("T")

EMBEDDED_REDIS = "embedded_redis"
EMBEDDED_KAFKA = "embedded_kafka"
"""These stand for servers of the engine's own, which a world has or has not."""

_NOTHING: frozenset[str] = frozenset()
_FIND_S = 150.0  # on a busy machine, an engine may have to stop and another to start first


@attrs.frozen
class ProcessFault:
    """A fault that is a function."""

    name: str
    do: Callable[[Target, random.Random], Awaitable[str]]
    needs: frozenset[str] = _NOTHING
    may_cause: frozenset[str] = _NOTHING

    async def inject(self, target: Target, rng: random.Random) -> str:
        return await self.do(target, rng)


async def _kill_worker(target: Target, rng: random.Random) -> str:
    slot, pid = await _pick_worker(target, rng)
    target.note_hit("kill_worker", pid, {"died"})
    _send(pid, signal.SIGKILL)
    return f"SIGKILL to the worker {pid} of {slot}"


async def _stop_worker(target: Target, rng: random.Random) -> str:
    slot, pid = await _pick_worker(target, rng)
    target.note_hit("stop_worker", pid, {"silent"})
    _send(pid, signal.SIGSTOP)
    return f"SIGSTOP to the worker {pid} of {slot}"


async def _pause_worker(target: Target, rng: random.Random) -> str:
    """A stop that is over before the lease, or about when it ends."""
    slot, pid = await _pick_worker(target, rng)
    pause_s = rng.choice([0.2, 0.5, target.lease_s - 0.1, target.lease_s, target.lease_s + 0.1])
    target.note_hit("pause_worker", pid, {"silent", "stalled"})
    await _pause(pid, pause_s)
    return f"SIGSTOP to the worker {pid} of {slot}, SIGCONT after {pause_s} s"


async def _terminate_worker(target: Target, rng: random.Random) -> str:
    slot, pid = await _pick_worker(target, rng)
    number = rng.choice([signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGABRT])
    target.note_hit("terminate_worker", pid, {"died", "error"})
    _send(pid, number)
    return f"{number.name} to the worker {pid} of {slot}"


async def _kill_all_workers(target: Target, _: random.Random) -> str:
    pids = await _find(target, lambda found: [*found.workers.values()] or None)
    for pid in pids:
        target.note_hit("kill_all_workers", pid, {"died"})
    for pid in pids:
        _send(pid, signal.SIGKILL)
    return f"SIGKILL to all workers: {pids}"


async def _kill_zygote(target: Target, _: random.Random) -> str:
    pid = await _find(target, lambda found: found.zygote)
    _send(pid, signal.SIGKILL)
    return f"SIGKILL to the zygote {pid}"


async def _kill_zygote_and_worker(target: Target, rng: random.Random) -> str:
    """The slot needs a worker while there is nobody to fork it."""
    return f"{await _kill_zygote(target, rng)}; {await _kill_worker(target, rng)}"


async def _stop_zygote(target: Target, rng: random.Random) -> str:
    """It is not continued: whoever needs it next has to find out."""
    pid = await _find(target, lambda found: found.zygote)
    _send(pid, signal.SIGSTOP)
    return f"SIGSTOP to the zygote {pid}; {await _kill_worker(target, rng)}"


async def _pause_zygote(target: Target, rng: random.Random) -> str:
    pid, pause_s = await _find(target, lambda found: found.zygote), rng.uniform(0.1, 1.0)
    await _pause(pid, pause_s)
    return f"SIGSTOP to the zygote {pid}, SIGCONT after {pause_s:.2f} s"


async def _kill_redis(target: Target, _: random.Random) -> str:
    pid = await _find(target, lambda found: found.redis)
    _send(pid, signal.SIGKILL)
    return f"SIGKILL to the embedded Redis {pid}"


async def _pause_redis(target: Target, rng: random.Random) -> str:
    pid, pause_s = await _find(target, lambda found: found.redis), rng.uniform(0.1, 2.0)
    await _pause(pid, pause_s)
    return f"SIGSTOP to the embedded Redis {pid}, SIGCONT after {pause_s:.2f} s"


async def _stop_redis(target: Target, _: random.Random) -> str:
    """It is not continued: its supervisor has to find out."""
    pid = await _find(target, lambda found: found.redis)
    _send(pid, signal.SIGSTOP)
    return f"SIGSTOP to the embedded Redis {pid}"


async def _kill_broker(target: Target, _: random.Random) -> str:
    pid = await _find(target, lambda found: found.broker)
    _send(pid, signal.SIGKILL)
    return f"SIGKILL to the embedded broker {pid}"


async def _pause_broker(target: Target, rng: random.Random) -> str:
    pid, pause_s = await _find(target, lambda found: found.broker), rng.uniform(0.1, 2.0)
    await _pause(pid, pause_s)
    return f"SIGSTOP to the embedded broker {pid}, SIGCONT after {pause_s:.2f} s"


async def _kill_engine(target: Target, _: random.Random) -> str:
    async with target.engine_lock:
        killed = target.engine.pid
        target.note_engine_end({"engine_lost", "died"})
        await trio.to_thread.run_sync(target.engine.kill)
        await trio.to_thread.run_sync(target.engine.start)
        target.note_engine_start()
    return f"SIGKILL to the engine {killed}; another after {target.engine.seconds_to_ready:.2f} s"


async def _terminate_engine(target: Target, _: random.Random) -> str:
    async with target.engine_lock:
        ended = target.engine.pid
        target.note_engine_end({"shutdown", "engine_lost"})
        target.engine.signal(signal.SIGTERM)
        code = await trio.to_thread.run_sync(target.engine.wait, 60.0)
        if code != 0:
            target.violations.append(f"the engine ended with {code} on SIGTERM")
        await trio.to_thread.run_sync(target.engine.start)
        target.note_engine_start()
    return f"SIGTERM to the engine {ended}; another after {target.engine.seconds_to_ready:.2f} s"


async def _pause_engine(target: Target, rng: random.Random) -> str:
    """Its workers go on, and must not be taken for silent when it wakes."""
    async with target.engine_lock:
        pid, pause_s = target.engine.pid, rng.choice([0.3, 1.0, 3.0])
        await _pause(pid, pause_s)
    return f"SIGSTOP to the engine {pid}, SIGCONT after {pause_s} s"


async def _restart_workers(target: Target, _: random.Random) -> str:
    with Api(target) as api:
        count = await trio.to_thread.run_sync(api.restart_workers)
    return f"RestartWorkers: {count}"


async def _pick_worker(target: Target, rng: random.Random) -> tuple[str, int]:
    chosen = rng.random()

    def pick(found: Processes) -> tuple[str, int] | None:
        workers = sorted(found.workers.items())
        return workers[int(chosen * len(workers))] if workers else None

    return await _find(target, pick)


async def _find(target: Target, look: Callable[[Processes], T | None]) -> T:
    """Look until there is such a process: the one before may just have been killed."""
    with trio.fail_after(_FIND_S):
        while (found := look(target.processes())) is None:  # noqa: ASYNC110 - nobody tells
            await trio.sleep(0.02)
    return found


async def _pause(pid: int, pause_s: float) -> None:
    _send(pid, signal.SIGSTOP)
    try:
        await trio.sleep(pause_s)
    finally:
        _send(pid, signal.SIGCONT)


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


FAULTS: tuple[Fault, ...] = (
    ProcessFault("kill_worker", _kill_worker),
    ProcessFault("stop_worker", _stop_worker),
    ProcessFault("pause_worker", _pause_worker),
    ProcessFault("terminate_worker", _terminate_worker),
    ProcessFault("kill_all_workers", _kill_all_workers),
    ProcessFault("kill_zygote", _kill_zygote),
    ProcessFault("kill_zygote_and_worker", _kill_zygote_and_worker),
    ProcessFault("stop_zygote", _stop_zygote),
    ProcessFault("pause_zygote", _pause_zygote),
    ProcessFault("kill_engine", _kill_engine),
    ProcessFault("terminate_engine", _terminate_engine),
    ProcessFault("pause_engine", _pause_engine, may_cause=frozenset({"stalled"})),
    ProcessFault("restart_workers", _restart_workers),
    ProcessFault("kill_redis", _kill_redis, needs=frozenset({EMBEDDED_REDIS})),
    ProcessFault("pause_redis", _pause_redis, needs=frozenset({EMBEDDED_REDIS})),
    ProcessFault("stop_redis", _stop_redis, needs=frozenset({EMBEDDED_REDIS})),
    ProcessFault("kill_broker", _kill_broker, needs=frozenset({EMBEDDED_KAFKA})),
    ProcessFault("pause_broker", _pause_broker, needs=frozenset({EMBEDDED_KAFKA})),
)
