"""Spans on their way to the collector: a bounded queue, and the thread that empties it.

Who ends a span never waits. What does not fit, or is not taken, is dropped and counted.
"""

import collections
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import attrs

logger = logging.getLogger(__name__)

_QUEUE_SPANS: Final = 8_192
"""Some 10 MB; four seconds of 2,000 spans a second, about what the engine makes at full load."""
_BATCH_SPANS: Final = 256
"""Encoding one holds the interpreter lock for some milliseconds."""
_GATHER_S: Final = 0.25
_TELL_S: Final = 60.0
_LONGEST_PAUSE_S: Final = 60.0
"""Of what a collector may ask for: one that asks for a day may be another one in a minute."""


@attrs.frozen
class NotTaken:
    """So many spans of a batch, and why; `pause_s` is how long the collector asked to be spared."""

    spans: int
    detail: str
    pause_s: float = 0.0


class BatchExporter(Protocol):
    """Sends spans, however long that takes."""

    def send(self, batch: Sequence[object]) -> NotTaken | None:
        """Send spans; return which were not taken, if any were not."""

    def abort(self) -> None:
        """Have a `send` under way, in another thread, end soon."""


class SpanSender:
    """The queue and its thread. `put` may be called from any thread."""

    def __init__(
        self,
        exporter: BatchExporter,
        on_sent: Callable[[int], None],
        on_dropped: Callable[[str, int], None],
        *,
        queue_spans: int = _QUEUE_SPANS,
    ) -> None:
        self._exporter = exporter
        self._on_sent = on_sent
        self._on_dropped = on_dropped
        self._queue_spans = queue_spans
        self._queue: collections.deque[object] = collections.deque()
        self._some = threading.Event()
        self._closing = threading.Event()
        self._untold = 0
        self._told_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def put(self, span: object) -> None:
        """Queue a span that has ended, or drop it if too many wait."""
        if len(self._queue) >= self._queue_spans or self._closing.is_set():
            self._drop("queue_full", 1)
            return
        self._queue.append(span)
        if not self._some.is_set():
            self._some.set()

    def close(self, within_s: float) -> None:
        """Send what has queued within this time, drop the rest."""
        self._closing.set()
        self._some.set()
        self._thread.join(within_s)
        if self._thread.is_alive():
            # It is a daemon: what it waits for does not keep the process.
            self._exporter.abort()
            left = len(self._queue)
            self._queue.clear()
            self._drop("stopped", left)

    def _run(self) -> None:
        while not self._closing.is_set() or self._queue:
            self._some.wait()
            self._closing.wait(_GATHER_S)
            self._some.clear()
            while batch := self._take():
                self._send(batch)

    def _take(self) -> list[object]:
        batch: list[object] = []
        while self._queue and len(batch) < _BATCH_SPANS:
            try:
                batch.append(self._queue.popleft())
            except IndexError:  # cleared by `close` just now
                break
        return batch

    def _send(self, batch: Sequence[object]) -> None:
        try:
            lost = self._exporter.send(batch)
        except Exception as error:  # noqa: BLE001 - a span nobody can encode must not end this
            lost = NotTaken(len(batch), f"{type(error).__name__}: {error}")
        if lost is None:
            self._on_sent(len(batch))
            return
        if lost.spans < len(batch):
            self._on_sent(len(batch) - lost.spans)
        self._drop("not_taken", lost.spans, lost.detail)
        self._closing.wait(min(lost.pause_s, _LONGEST_PAUSE_S))

    def _drop(self, reason: str, spans: int, detail: str = "") -> None:
        if not spans:
            return
        self._on_dropped(reason, spans)
        self._untold += spans
        now_s = time.monotonic()
        if self._told_s is None or now_s - self._told_s >= _TELL_S:
            self._told_s, untold, self._untold = now_s, self._untold, 0
            facts = {"spans": untold, "reason": reason, "detail": detail}
            logger.warning("spans dropped", extra={name: v for name, v in facts.items() if v})
