"""Asking a backend whether it is there."""

from collections.abc import Awaitable, Callable

import trio

from engine.backends.report import BackendReport
from engine.errors import BackendUnavailableError

Probe = Callable[[], Awaitable[str]]
"""Returns what there is to say of a backend that answers.

Raises `BackendUnavailableError`, saying why, when it does not; ends within a few seconds.
"""


class BackendLoadingError(BackendUnavailableError):
    """The backend is alive and at work but does not serve yet, such as Redis reading its log."""


async def run_monitor(
    probe: Probe,
    report: BackendReport,
    interval_s: float,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Report a configured backend's state until cancelled; started once the first word is in.

    A backend that is down is asked again for ever at the same pace: it costs one connection
    attempt, and an operator who has repaired it wants to see that at once.
    """
    await _ask(probe, report)
    task_status.started()
    while True:
        await trio.sleep(interval_s)
        await _ask(probe, report)


async def _ask(probe: Probe, report: BackendReport) -> None:
    try:
        detail = await probe()
    except BackendUnavailableError as error:
        report.down(error)
    else:
        report.up(detail)
