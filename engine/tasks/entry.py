"""The first line of a worker: what its zygote calls in the forked process."""

import functools
import logging
from pathlib import Path
from typing import Final

from engine.tasks.cancel import Cancellation
from engine.tasks.checks import CheckingThread
from engine.tasks.hand import Hand
from engine.tasks.handlers import HandlerTable
from engine.tasks.last_resort import LastResort
from engine.tasks.link import EngineLink, EngineUnreachableError, GivenUpError, Report
from engine.tasks.orders import Orders
from engine.tasks.own_state import OwnState
from engine.tasks.progress import Progress
from engine.tasks.rpc_link import RpcLink
from engine.tasks.runtime import Runtime, RuntimeLimits
from engine.tasks.settings import settings_of
from engine.tasks.worker_log import configure_worker_log
from engine.tracing import open_tracing
from engine.workers.exits import WorkerExit
from engine.workers.page import PageWriter
from engine.workers.zygote_fork import WorkerStart

logger = logging.getLogger(__name__)

_LAST_REPORT_S: Final = 1.0
_TRACES_S: Final = 0.5
"""To send spans that have queued, for one that leaves: its successor waits."""
_BETWEEN_CHECKS: Final = 0.25
"""What another call of the checking thread may take of the time in which the next check is due."""


def main(start: WorkerStart) -> int:
    """Work until there is a reason to leave; return it as an exit code."""
    settings = settings_of(start)
    page = PageWriter(start.page_fd)
    progress = Progress(page)
    cancellation = Cancellation()
    hand = Hand()
    configure_worker_log(settings.log_level, hand)
    orders = Orders()
    own_state = OwnState(Path(settings.folder), [1, 2, start.stacks_fd])
    # A connection a thread: the checks must not wait for what the main thread is about.
    link = RpcLink(settings, before_call=progress.note_call)
    runtime = Runtime(
        link,
        HandlerTable(settings.handlers),
        hand,
        progress,
        cancellation,
        orders,
        page,
        own_state,
        RuntimeLimits(
            memory_soft_bytes=settings.memory_soft_bytes,
            recycle_after_jobs=settings.recycle_after_jobs,
        ),
        settings.worker_id,
    )
    report = functools.partial(_report, runtime, progress, own_state)
    checks = CheckingThread(
        RpcLink(settings, call_s=settings.check_deadline_s * _BETWEEN_CHECKS),
        report,
        cancellation,
        hand,
        orders,
        LastResort(start.stacks_fd).postpone,
        interval_s=settings.check_interval_s,
        deadline_s=settings.check_deadline_s,
        gone_after_s=settings.engine_gone_after_s,
    )
    with open_tracing(
        settings.traces,
        {"service.instance.id": settings.worker_id, "trellis.worker.slot": settings.slot},
        on_sent=lambda _: None,
        on_dropped=lambda reason, spans: progress.count(f"traces/spans_dropped_{reason}", spans),
        close_s=_TRACES_S,
    ):
        checks.start()
        reason = runtime.run()
    if reason is not WorkerExit.LEASE_LOST:
        _report_last(link, report())
    return reason


def _report_last(link: EngineLink, report: Report) -> None:
    """Tell what was counted since the last check, unless there is nobody to tell."""
    try:
        link.check(report, _LAST_REPORT_S)
    except (EngineUnreachableError, GivenUpError) as error:
        logger.info("what was counted last is not told: %s", error)


def _report(runtime: Runtime, progress: Progress, own_state: OwnState) -> Report:
    return Report(
        progress=progress.view(),
        memory_bytes=own_state.memory_bytes(),
        jobs_done=runtime.jobs_done,
        counters=progress.counters(),
    )
