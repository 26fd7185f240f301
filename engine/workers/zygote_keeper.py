"""Keeps one zygote at hand. Its workers do not notice when it dies: they are not its children."""

import logging
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import trio

from engine.backends.restart import RestartHistory, RestartPolicy
from engine.errors import StartFailedError
from engine.workers.zygote_client import Forked, Zygote
from engine.workers.zygote_wire import ZygoteConfig

logger = logging.getLogger(__name__)

_RESTART: Final = RestartPolicy(first_delay_s=0.02)
_random = random.SystemRandom()


class ZygoteKeeper:
    """Starts a zygote again whenever it ends, and forks workers with whichever there is."""

    def __init__(self, config: ZygoteConfig, environment: Mapping[str, str], folder: Path) -> None:
        self._config = config
        self._environment = dict(environment)
        self._folder = folder
        self._zygote: Zygote | None = None
        self._ready: Zygote | None = None
        self._changed = trio.Event()
        self._workers: set[int] = set()
        self._last_problem = "the first zygote is still starting"
        self.ready = trio.Event()
        """Set once there has been a zygote that could fork."""

    async def run(self) -> NoReturn:
        """Keep a zygote running.

        Cancellation: it is killed and reaped.
        """
        history = RestartHistory(_RESTART)
        while True:
            started_at = trio.current_time()
            try:
                self._zygote = Zygote(self._config, self._environment, self._folder, self._workers)
            except OSError as error:
                problem = f"cannot be started: {error}"
            else:
                problem = await self._run_one(self._zygote)
            self._last_problem = f"the last zygote: {problem}"
            decision = history.record_end(trio.current_time() - started_at, _random.random())
            logger.log(
                logging.ERROR if decision.alarm else logging.WARNING,
                "zygote ended",
                extra={"reason": problem, "restart_in_s": round(decision.delay_s, 3)},
            )
            await trio.sleep(decision.delay_s)

    async def _run_one(self, zygote: Zygote) -> str:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._offer_when_ready, zygote)
                problem = await zygote.run()
                nursery.cancel_scope.cancel()
        finally:
            self._zygote = self._ready = None
        return problem

    async def _offer_when_ready(self, zygote: Zygote) -> None:
        await zygote.ready.wait()
        self._ready = zygote
        self.ready.set()
        self._changed.set()
        self._changed = trio.Event()

    async def fork(
        self, spec: dict[str, Any], descriptors: tuple[int, int, int], timeout_s: float
    ) -> Forked:
        """Have a worker made, waiting for a zygote that can.

        Raises:
          StartFailedError: there was none in time, or it failed. Not tried again here, since a
            worker of this name may exist for a moment, if the zygote's answer was lost.
        Cancellation: a checkpoint; a worker that was made is a stray.
        """
        with trio.move_on_after(timeout_s):
            while self._ready is None:
                await self._changed.wait()
        if self._ready is None:
            raise StartFailedError(f"no zygote within {timeout_s:g} s; {self._last_problem}")
        return await self._ready.fork(spec, descriptors)

    def known_pids(self) -> Sequence[int]:
        """Return the numbers of zygote and workers, those it has just answered with included."""
        if self._zygote is None:
            return [*self._workers]
        self._zygote.drain()
        return [self._zygote.pid, *self._workers]

    def forget(self, pid: int) -> None:
        """Take note that a worker is gone."""
        self._workers.discard(pid)
