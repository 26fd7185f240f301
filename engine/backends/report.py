"""Where a backend's state goes: readiness detail, metric, log, and whoever watches."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import attrs
import trio

from engine.backends.observable import Observable
from engine.errors import BackendUnavailableError
from engine.health import HealthBoard
from engine.metrics import BACKEND_UP

logger = logging.getLogger(__name__)


@attrs.frozen
class BackendState:
    """Does the backend answer, and what there is to say about it. Holds no secret."""

    up: bool
    detail: str


class BackendReport:
    """One backend's state, told to everybody who should know.

    The part is registered as not required for readiness: without Redis or Kafka the engine still
    answers feature reads, so a load balancer that took it out would turn an outage of the intake
    into one of the serving. `/readyz` shows the detail all the same.
    """

    def __init__(self, backend: str, health: HealthBoard) -> None:
        self.backend = backend
        self.state = Observable(BackendState(up=False, detail="starting"))
        self._health = health
        self._health.register(backend, required=False)
        self._gauge = BACKEND_UP.labels(backend)
        self._gauge.set(0)
        self._logged: tuple[bool, str] | None = None

    def up(self, detail: str) -> None:
        """The backend answers."""
        self._publish(BackendState(up=True, detail=detail))
        self._log_change(up=True, detail=detail)

    def down(self, error: BackendUnavailableError, outlook: str = "") -> None:
        """The backend does not answer.

        Args:
          error: why; a change of it is worth a log line.
          outlook: what happens next, shown in the detail but, since it varies from one attempt to
            the next, not by itself a reason to log.
        """
        detail = f"{error}; {outlook}" if outlook else str(error)
        self._publish(BackendState(up=False, detail=detail))
        self._log_change(up=False, detail=error.detail)

    def stopped(self) -> None:
        """The engine has let go of the backend."""
        self._publish(BackendState(up=False, detail="stopped"))

    def _publish(self, state: BackendState) -> None:
        self._health.set(self.backend, ok=state.up, detail=state.detail)
        self._gauge.set(1 if state.up else 0)
        self.state.set(state)

    def _log_change(self, *, up: bool, detail: str) -> None:
        # Which of several brokers answered first is no change; another cause of failure is one.
        change = (up, "" if up else detail)
        if self._logged == change:
            return
        self._logged = change
        logger.log(
            logging.INFO if up else logging.WARNING,
            "backend up" if up else "backend down",
            extra={"backend": self.backend, "detail": detail},
        )


@asynccontextmanager
async def open_reported(
    report: BackendReport, run: Callable[..., Awaitable[object]]
) -> AsyncIterator[None]:
    """Run a backend's task, which takes `task_status`, beside the body and end it after the body.

    The last word of the report is that the backend has been let go.
    """
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(run)
            try:
                yield
            finally:
                nursery.cancel_scope.cancel()
    finally:
        report.stopped()
