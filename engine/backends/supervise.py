"""Keeps one embedded server running: start, wait until it serves, watch, start again."""

import logging
import random
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, Protocol

import attrs
import trio

from engine.backends.output import OutputLog
from engine.backends.probe import BackendLoadingError
from engine.backends.process import ChildProcess, open_child
from engine.backends.report import BackendReport
from engine.backends.restart import RestartHistory, RestartPolicy
from engine.backends.silence import Silence
from engine.errors import BackendUnavailableError, TrellisError
from engine.metrics import BACKEND_RESTARTS

logger = logging.getLogger(__name__)

_READY_POLL_S = 0.01  # both servers are up within a few of these
_random = random.SystemRandom()


class EmbeddedServer(Protocol):
    """What the supervisor must know of a server."""

    folder: Path

    async def prepare(self) -> Sequence[str]:
        """Clear the way for a start and return its command line, program first.

        Raises `TrellisError` or `OSError` when there can be no start now.
        """

    async def probe(self) -> str:
        """As `Probe`; succeeds only if it is this server's latest start that answers."""

    def serves(self) -> None:
        """The latest start has answered for the first time."""

    def failed_to_start(self, words: str) -> None:
        """The latest start has ended before it answered; `words` is what it complained of last."""

    def level_of(self, line: str) -> int:
        """Tell the `logging` level of a line of output."""


@attrs.frozen
class Supervision:
    """How patient to be with a server. Times in seconds."""

    restart: RestartPolicy = attrs.field(factory=RestartPolicy)
    ready_within_s: float = 10.0
    """From the start to the first answer; begins anew whenever the server says it is loading."""
    probe_interval_s: float = 2.0
    unresponsive_after_s: float = 30.0
    """Without an answer for this long it is killed. Long, since killing a broker that keeps its log
    in memory loses messages, while one that merely swaps recovers."""
    stop_grace_s: float = 5.0


@attrs.frozen
class _End:
    """Why a start of the server is over and how long it served."""

    reason: str
    served_s: float


async def run_supervised(
    server: EmbeddedServer,
    report: BackendReport,
    supervision: Supervision,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Keep `server` running until cancelled.

    Started once it serves, says that it is loading, or has failed for the first time: the engine
    then comes up without it, and the tries go on.

    Cancellation: the server is stopped in order, within `stop_grace_s` and a few seconds.
    """
    history = RestartHistory(supervision.restart)
    first = _FirstResult(task_status)
    output = OutputLog(report.backend, server.level_of)
    while True:
        end = await _run_once(server, report, supervision, output, first)
        decision = history.record_end(end.served_s, _random.random())
        outlook = f"next start in {decision.delay_s:.2g} s"
        if decision.alarm:
            outlook = f"{decision.failures} starts in a row have failed; {outlook}"
        report.down(BackendUnavailableError(report.backend, end.reason), outlook)
        logger.log(
            logging.ERROR if decision.alarm else logging.WARNING,
            "embedded server keeps failing" if decision.alarm else "embedded server ended",
            extra={
                "backend": report.backend,
                "reason": end.reason,
                "failures": decision.failures,
                "restart_in_s": round(decision.delay_s, 3),
            },
        )
        first.known()
        await trio.sleep(decision.delay_s)
        BACKEND_RESTARTS.labels(report.backend).inc()


class _FirstResult:
    """Tells the starter once, at the first result of whatever kind."""

    def __init__(self, task_status: trio.TaskStatus[None]) -> None:
        self._task_status: trio.TaskStatus[None] | None = task_status

    def known(self) -> None:
        if self._task_status is not None:
            self._task_status.started()
            self._task_status = None


async def _run_once(
    server: EmbeddedServer,
    report: BackendReport,
    supervision: Supervision,
    output: OutputLog,
    first: _FirstResult,
) -> _End:
    """One start of the server, from preparation to its end."""
    served_since: float | None = None
    given_up: str | None = None
    try:
        argv = await server.prepare()
        child_context = open_child(
            argv, folder=server.folder, output=output, grace_s=supervision.stop_grace_s
        )
        async with child_context as child, trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_at_exit, child, nursery.cancel_scope)
            given_up = await _until_serving(server, report, supervision, first)
            if given_up is None:
                served_since = trio.current_time()
                # What it complained of so far did not keep it from starting.
                output.take_last_words(complaint=True)
                server.serves()
                first.known()
                given_up = await _while_serving(server, report, supervision)
            child.kill()
    except (TrellisError, OSError) as error:
        return _End(f"it cannot be started: {error}", 0.0)
    served_s = 0.0 if served_since is None else trio.current_time() - served_since
    # The last line of a server that had served is most likely about its service.
    words = output.take_last_words(complaint=served_since is not None)
    if served_since is None:
        server.failed_to_start(words or "")
    reason = given_up or child.describe_exit()
    return _End(f"{reason}; it said: {words}" if words else reason, served_s)


async def _cancel_at_exit(child: ChildProcess, scope: trio.CancelScope) -> None:
    await child.wait()
    scope.cancel()


async def _until_serving(
    server: EmbeddedServer,
    report: BackendReport,
    supervision: Supervision,
    first: _FirstResult,
) -> str | None:
    """Return None once the server answers, or why it is given up."""
    problem = "no answer"
    with trio.move_on_after(supervision.ready_within_s) as patience:
        while True:
            try:
                report.up(await server.probe())
            except BackendUnavailableError as error:
                problem = error.detail
                if isinstance(error, BackendLoadingError):
                    report.down(error)
                    first.known()
                    patience.deadline = trio.current_time() + supervision.ready_within_s
            else:
                return None
            await trio.sleep(_READY_POLL_S)
    return f"not ready within {supervision.ready_within_s:g} s ({problem})"


async def _while_serving(
    server: EmbeddedServer, report: BackendReport, supervision: Supervision
) -> str:
    """Watch a serving server; return only to say why it should be replaced."""
    silence = Silence(supervision.unresponsive_after_s, trio.current_time())
    while True:
        await trio.sleep(supervision.probe_interval_s)
        try:
            report.up(await server.probe())
        except BackendUnavailableError as error:
            report.down(error)
            silent_s = silence.record_failure(trio.current_time())
            if silent_s is not None:
                return f"no answer for {silent_s:.0f} s"
        else:
            silence.record_answer(trio.current_time())
