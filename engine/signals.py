"""What the running engine does when it is signalled."""

import logging
import signal
from collections.abc import Callable

import trio

from engine import early_stop
from engine.errors import UnavailableError

logger = logging.getLogger(__name__)


async def run_stop_signals(
    stop: trio.Event,
    everything: trio.CancelScope,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Set `stop` on the first signal to stop, cancel `everything` on the next; until cancelled."""
    with trio.open_signal_receiver(*early_stop.read_signal_plan().stop) as signals:
        early_stop.hand_over()
        task_status.started()
        async for number in signals:
            name = signal.Signals(number).name
            if stop.is_set():
                logger.warning("stopping at once", extra={"signal": name})
                everything.cancel()
            else:
                logger.info("stop requested", extra={"signal": name})
                stop.set()


async def run_restart_signals(
    restart_workers: Callable[[], int],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Have the workers replaced on each signal that asks for it, until cancelled.

    Args:
      restart_workers: begins to, and returns how many; may raise UnavailableError.
    """
    numbers = early_stop.read_signal_plan().restart_workers
    if not numbers:
        task_status.started()
        return
    with trio.open_signal_receiver(*numbers) as signals:
        task_status.started()
        async for number in signals:
            facts = {"signal": signal.Signals(number).name}
            try:
                logger.info("workers are replaced", extra={**facts, "workers": restart_workers()})
            except UnavailableError as error:
                logger.warning("workers are not replaced", extra={**facts, "detail": str(error)})
