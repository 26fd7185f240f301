"""The checking thread: tells the engine that the worker lives, and does as it is told.

It needs the interpreter lock for each check. A job whose code never lets go of it silences the
worker, and the engine replaces it: that is what the lease is for.
"""

import logging
import math
import os
import threading
import time
import traceback
from collections.abc import Callable
from typing import Final, NoReturn

from engine.tasks.cancel import IDLE, Cancellation
from engine.tasks.hand import Hand
from engine.tasks.link import (
    EngineLink,
    EngineUnreachableError,
    GivenUpError,
    Order,
    Report,
    hand_in,
)
from engine.tasks.orders import Orders
from engine.workers.exits import WorkerExit

logger = logging.getLogger(__name__)

_SHORTEST_S: Final = 0.05
_MARGIN_S: Final = 0.5
"""What this thread is given to end the process itself, which it does with a reason."""
_LONG_S: Final = 0.25
"""A job that takes longer than this holds up the others in hand."""


class CheckingThread:
    """Checks in every `interval_s`, and in between when the engine asks for it."""

    def __init__(
        self,
        link: EngineLink,
        report: Callable[[], Report],
        cancellation: Cancellation,
        hand: Hand,
        orders: Orders,
        end_in: Callable[[float], None],
        *,
        interval_s: float,
        deadline_s: float,
        gone_after_s: float,
    ) -> None:
        """Check in through `link`, which is this thread's alone.

        Args:
          end_in: has the process end so many seconds from then, whatever this thread can do by
            then; called again, it counts anew.
          interval_s: from one check to the next.
          deadline_s: how long the engine waits for one.
          gone_after_s: how long after a check that was answered to leave, if none is any more. The
            kernel, or the host's agent, kills a worker whose engine dies; this is for when the
            agent cannot.
        """
        self._link = link
        self._report = report
        self._cancellation = cancellation
        self._hand = hand
        self._orders = orders
        self._end_in = end_in
        self._interval_s = interval_s
        self._deadline_s = deadline_s
        self._gone_after_s = gone_after_s
        self._thread = threading.Thread(target=self._run, name="checks", daemon=True)

    def start(self) -> None:
        """Check in for the first time at once."""
        self._thread.start()

    def _run(self) -> None:
        try:
            self._check_for_ever()
        except BaseException:  # noqa: BLE001 - a worker that does not check must not live
            try:
                traceback.print_exc()
            finally:
                _die(WorkerExit.FAULTY, "the checking thread failed")

    def _check_for_ever(self) -> NoReturn:
        answered_s = time.monotonic()
        due_s = answered_s
        self._end_in(self._gone_after_s + _MARGIN_S)
        while True:
            asked_s = time.monotonic()
            gone_s = answered_s + self._gone_after_s
            again_s = math.inf
            try:
                again_s = self._check(max(_SHORTEST_S, min(self._deadline_s, gone_s - asked_s)))
                answered_s = asked_s
                self._end_in(answered_s + self._gone_after_s + _MARGIN_S - time.monotonic())
                self._relieve()
            except GivenUpError as error:
                _die(WorkerExit.LEASE_LOST, f"the engine has given this worker up: {error}")
            except (EngineUnreachableError, MemoryError) as error:
                if isinstance(error, MemoryError):
                    # The job has taken all there is, or may take no more at the moment.
                    self._link.close()
                silent_s = time.monotonic() - answered_s
                logger.warning("check unanswered for %.1f s: %r", silent_s, error)
                if silent_s >= self._gone_after_s:
                    _die(WorkerExit.ENGINE_GONE, "the engine is gone")
            # From one due time to the next, so that slow answers do not thin the checks out. After
            # a pause (a suspended machine), only the next one is made up for.
            if time.monotonic() >= due_s:
                due_s = max(due_s + self._interval_s, time.monotonic() - self._interval_s)
            next_s = min(due_s, again_s, answered_s + self._gone_after_s)
            time.sleep(max(0.0, next_s - time.monotonic()))

    def _check(self, timeout_s: float) -> float:
        """Check in; return when the engine wants the next check at the latest."""
        reply = self._link.check(self._report(), timeout_s)
        again_s = math.inf if reply.again_in_s is None else time.monotonic() + reply.again_in_s
        match reply.order:
            case Order.DIE:
                _die(WorkerExit.LEASE_LOST, "the engine has given this worker up")
            case Order.LEAVE:
                self._orders.leave(WorkerExit.LEFT)
                self._cancellation.request(IDLE)
            case Order.CANCEL_JOB if reply.cancelled is not None:
                self._cancellation.request(reply.cancelled)
            case _:
                pass
        return again_s

    def _relieve(self) -> None:
        """Do for the main thread what a long job keeps it from."""
        if self._orders.busy_s() < _LONG_S:
            return
        jobs = self._hand.give_back()
        if jobs:
            try:
                self._link.give_back(jobs)
            except BaseException:
                self._hand.take(jobs)
                raise
        if self._hand.has_outcomes and self._hand.handing_in.acquire(blocking=False):
            try:
                hand_in(self._hand, self._link)
            finally:
                self._hand.handing_in.release()


def _die(reason: WorkerExit, message: str) -> NoReturn:
    # The main thread may hold any lock, that of the log or of the standard streams included.
    try:
        os.write(2, f"CRITICAL {__name__}: {message}\n".encode())
    finally:
        # A job may have closed the descriptor: nobody is left to tell.
        os._exit(reason)
