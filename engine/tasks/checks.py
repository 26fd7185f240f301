"""The checking thread: tells the engine that the worker lives, and does as it is told.

It needs the interpreter lock for each check. A job whose code never lets go of it silences the
worker, and the engine replaces it: that is what the lease is for.
"""

import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Final, NoReturn

from engine.tasks.cancel import Cancellation
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

_GONE_AFTER_DEADLINES: Final = 6
"""The kernel or the host's agent kills a worker whose engine dies; this is for when they cannot.
Not sooner, or an engine that was merely suspended would find all its workers gone."""

_LONG_S: Final = 0.25
"""A job that takes longer than this holds up the others in hand."""


class CheckingThread:
    """Checks in every `interval_s`."""

    def __init__(
        self,
        link: EngineLink,
        report: Callable[[], Report],
        cancellation: Cancellation,
        hand: Hand,
        orders: Orders,
        *,
        interval_s: float,
        deadline_s: float,
    ) -> None:
        """Check in through `link`, which is this thread's alone.

        Args:
          interval_s: from one check to the next.
          deadline_s: how long the engine waits for one.
        """
        self._link = link
        self._report = report
        self._cancellation = cancellation
        self._hand = hand
        self._orders = orders
        self._interval_s = interval_s
        self._deadline_s = deadline_s
        self._thread = threading.Thread(target=self._run, name="checks", daemon=True)

    def start(self) -> None:
        """Check in for the first time at once."""
        self._thread.start()

    def _run(self) -> None:
        try:
            self._check_for_ever()
        except BaseException:  # noqa: BLE001 - a worker that does not check must not live
            traceback.print_exc()
            _die(WorkerExit.FAULTY, "the checking thread failed")

    def _check_for_ever(self) -> NoReturn:
        answered_s = time.monotonic()
        due_s = answered_s
        while True:
            try:
                self._check()
                answered_s = time.monotonic()
                self._relieve()
            except GivenUpError as error:
                _die(WorkerExit.LEASE_LOST, f"the engine has given this worker up: {error}")
            except EngineUnreachableError as error:
                silent_s = time.monotonic() - answered_s
                logger.warning("check unanswered for %.1f s: %s", silent_s, error)
                if silent_s > _GONE_AFTER_DEADLINES * self._deadline_s:
                    _die(WorkerExit.ENGINE_GONE, "the engine is gone")
            # From one due time to the next, so that slow answers do not thin the checks out. After
            # a pause (a suspended machine), only the next one is made up for.
            due_s = max(due_s + self._interval_s, time.monotonic() - self._interval_s)
            time.sleep(max(0.0, due_s - time.monotonic()))

    def _check(self) -> None:
        reply = self._link.check(self._report(), timeout_s=self._deadline_s)
        match reply.order:
            case Order.DIE:
                _die(WorkerExit.LEASE_LOST, "the engine has given this worker up")
            case Order.LEAVE:
                self._orders.leave(WorkerExit.LEFT)
            case Order.CANCEL_JOB if reply.cancelled is not None:
                self._cancellation.request(reply.cancelled)
            case _:
                pass

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
    # The main thread may hold any lock, that of the log included.
    os.write(2, f"CRITICAL {__name__}: {message}\n".encode())
    sys.stdout.flush()
    os._exit(reason)
