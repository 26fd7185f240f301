"""What a worker prints, as log lines, whatever and however much it prints."""

import collections
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import trio

from engine.backends.output import LineSplitter, TokenBucket
from engine.logs import escape_controls
from engine.request_context import name_callers

logger = logging.getLogger(__name__)

_CHUNK_BYTES: Final = 65_536  # what a pipe holds
_LINES_PER_S: Final = 20.0
_LINES_BURST: Final = 200  # a traceback or two
_BYTES_PER_S: Final = 4 * 2**20
_BYTES_BURST: Final = 2**22
_TAIL_LINES: Final = 20
_TAIL_LINE_CHARS: Final = 1_000  # they go into a row of the data file

_LEVEL: Final = re.compile(r"(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")
_JOB: Final = re.compile(
    r"(\S+ \S+) \[job ([0-9A-Z]{26})"
    r"(?: request ([A-Za-z0-9._:,-]{1,600}))?(?: trace ([0-9a-f,]{32,300}))?\]:"
)
"""How `engine.tasks.worker_log` begins a line while there is a job."""


class ProcessOutput:
    """Logs one process' lines and remembers the last ones.

    Of a flood most lines are dropped and counted. Its bytes are read at a bounded rate, so that in
    the end the process waits in `write`: reading as fast as it prints would starve the engine.
    """

    def __init__(self, event: str, facts: Mapping[str, Any]) -> None:
        """Log lines as `event` with these facts."""
        self._event = event
        self._facts = dict(facts)
        self._splitter = LineSplitter()
        self._lines = TokenBucket(_LINES_PER_S, _LINES_BURST)
        self._bytes = TokenBucket(_BYTES_PER_S, _BYTES_BURST)
        self._dropped = 0
        self._tail: collections.deque[str] = collections.deque(maxlen=_TAIL_LINES)

    @property
    def last_lines(self) -> tuple[str, ...]:
        return tuple(self._tail)

    async def follow(self, stream: trio.abc.ReceiveStream) -> None:
        """Take what comes from `stream` until its end.

        Cancellation: what has been read is logged, the rest is lost.
        """
        try:
            while data := bytes(await stream.receive_some(_CHUNK_BYTES)):
                self.feed(data, trio.current_time())
                await trio.sleep(self._bytes.take(len(data), trio.current_time()))
        finally:
            self._log_all(self._splitter.finish(), trio.current_time())
            self._tell_dropped()

    def feed(self, data: bytes, now: float) -> None:
        """Take a piece of output; the effort is bounded whatever is in it.

        Args:
          now: a monotonic time, seconds.
        """
        *lines, rest = data.split(b"\n", _LINES_BURST)
        for line in lines:
            self._log_all(self._splitter.feed(line + b"\n"), now)
        too_many = rest.count(b"\n")
        if too_many:
            *lines, rest = rest.rsplit(b"\n", _TAIL_LINES + 1)
            # With more lines than that, the first piece is all that were not split off.
            for line in lines[1:] if too_many > _TAIL_LINES else lines:
                self._remember(self._splitter.feed(line + b"\n"))
            self._dropped += too_many
        self._splitter.feed(rest)

    def _log_all(self, lines: list[str], now: float) -> None:
        self._remember(lines)
        for text in lines:
            if not self._lines.try_take(1, now):
                self._dropped += 1
                continue
            self._tell_dropped()
            match = _LEVEL.match(text)
            level = logging.getLevelNamesMapping()[match[1]] if match else logging.INFO
            logger.log(level, self._event, extra={**self._facts, **_read_line(text)})

    def _remember(self, lines: list[str]) -> None:
        self._tail.extend(escape_controls(line[:_TAIL_LINE_CHARS]) for line in lines)

    def _tell_dropped(self) -> None:
        if self._dropped:
            facts = {**self._facts, "lines": self._dropped}
            logger.warning("%s dropped", self._event, extra=facts)
            self._dropped = 0


def _read_line(text: str) -> Mapping[str, str | Sequence[str]]:
    """Return a line, and what it was written for if it tells."""
    match = _JOB.match(text)
    if match is None:
        return {"line": text}
    request_ids, trace_ids = (ids.split(",") if ids else () for ids in match.group(3, 4))
    return {
        **name_callers(request_ids, trace_ids),
        "job_id": match[2],
        "line": f"{match[1]}:{text[match.end() :]}",
    }
