"""Turning traces on for a while: the one place that imports what knows OpenTelemetry."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Protocol

from engine.errors import InvalidArgumentError
from engine.tracing import spans
from engine.tracing.settings import TraceSettings

PACKAGES: Final = "requirements-traces.lock"
LIBRARY: Final = "engine.tracing.otlp"
"""By name: imported only when spans are to be sent."""

DropListener = Callable[[str, int], None]
"""Told why so many spans were dropped."""


class TraceSession(Protocol):
    """Spans are recorded and sent."""

    def close(self, within_s: float) -> None:
        """Send what has queued, as far as that is possible in this time."""


class _Library(Protocol):
    def open_session(
        self,
        settings: TraceSettings,
        resource: Mapping[str, str],
        on_sent: Callable[[int], None],
        on_dropped: DropListener,
    ) -> TraceSession:
        """See `engine.tracing.otlp`."""


def require_library() -> _Library:
    """Import OpenTelemetry.

    Raises:
      InvalidArgumentError: it is not installed; says what to do.
    """
    try:
        library: _Library = importlib.import_module(LIBRARY)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "engine":
            raise
        raise InvalidArgumentError(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            f"asks for traces, and {error.name} is not installed; install it by "
            f"`.venv/bin/python -m pip install -r {PACKAGES}`, or unset the variable",
        ) from error
    return library


@contextmanager
def open_tracing(
    settings: TraceSettings | None,
    resource: Mapping[str, str],
    on_sent: Callable[[int], None],
    on_dropped: DropListener,
    *,
    close_s: float,
) -> Iterator[None]:
    """Record spans while the block runs, and send them from a thread of this process.

    After forks: the thread would be missing in the child. Without settings nothing happens at all.

    Args:
      resource: says which process this is.
      on_sent, on_dropped: told from that thread, and from those that end spans.
      close_s: how long the end may take to send what has queued.
    Raises:
      InvalidArgumentError: as `require_library`.
    """
    if settings is None:
        yield
        return
    session = require_library().open_session(settings, resource, on_sent, on_dropped)
    try:
        yield
    finally:
        spans.use(None)
        session.close(close_s)
