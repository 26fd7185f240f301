"""A child's output as log lines, however it behaves."""

import collections
import logging
import re
from collections.abc import Callable

import trio

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 65_536  # what a pipe holds
_LINE_BYTES = 2_048  # enough for a stack frame or a configuration line
_LINES_PER_S = 20.0
_LINES_BURST = 200.0  # a start with all its warnings, or a panic with its trace
_BYTES_PER_S = 2**20
_BYTES_BURST = 2**22
_TAIL_LINES = 20

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

LineLevel = Callable[[str], int]
"""Tells the `logging` level of a line from the server's own notation."""


class TokenBucket:
    """A rate with a burst; the time is passed in, in seconds."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at: float | None = None

    def try_take(self, amount: float, now: float) -> bool:
        """Take `amount` if it is there."""
        self._refill(now)
        if self._tokens < amount:
            return False
        self._tokens -= amount
        return True

    def take(self, amount: float, now: float) -> float:
        """Take `amount` in any case; return the seconds until it is earned."""
        self._refill(now)
        self._tokens -= amount
        return max(0.0, -self._tokens / self._rate)

    def _refill(self, now: float) -> None:
        earned = 0.0 if self._at is None else (now - self._at) * self._rate
        self._tokens = min(self._burst, self._tokens + earned)
        self._at = now


class LineSplitter:
    """Cuts a byte stream into lines of bounded length, whatever the pieces it comes in."""

    def __init__(self, line_bytes: int = _LINE_BYTES) -> None:
        self._line_bytes = line_bytes
        self._line = bytearray()
        self._cut_bytes = 0

    def feed(self, data: bytes) -> list[str]:
        """Return the lines that `data` ends, without blank ones."""
        lines = []
        *ended, rest = data.split(b"\n")
        for piece in ended:
            self._add(piece)
            lines.append(self._take())
        self._add(rest)
        return [line for line in lines if line]

    def finish(self) -> list[str]:
        """Return the last line if it was not ended."""
        line = self._take()
        return [line] if line else []

    def _add(self, piece: bytes) -> None:
        room = self._line_bytes - len(self._line)
        self._line += piece[:room]
        self._cut_bytes += max(0, len(piece) - room)

    def _take(self) -> str:
        text = _ANSI.sub("", self._line.decode(errors="backslashreplace")).rstrip()
        if self._cut_bytes:
            text += f" ... ({self._cut_bytes} bytes cut)"
        self._line.clear()
        self._cut_bytes = 0
        return text


class OutputLog:
    """Writes one child's lines into the log and remembers the last ones."""

    def __init__(self, name: str, level_of: LineLevel) -> None:
        self._name = name
        self._level_of = level_of
        self._lines = TokenBucket(_LINES_PER_S, _LINES_BURST)
        self._bytes = TokenBucket(_BYTES_PER_S, _BYTES_BURST)
        self._dropped = 0
        self._tail: collections.deque[tuple[int, str]] = collections.deque(maxlen=_TAIL_LINES)

    def take_last_words(self, *, complaint: bool) -> str | None:
        """Return the line most likely to say why the child ended.

        That is its last complaint or, unless it must be a `complaint`, its last line. Forgets the
        lines, so that an old complaint does not come to explain another end.
        """
        lines = list(self._tail)
        self._tail.clear()
        complaints = [text for level, text in lines if level >= logging.WARNING]
        if complaints:
            return complaints[-1]
        return lines[-1][1] if lines and not complaint else None

    async def follow(self, stream: trio.abc.ReceiveStream, pid: int) -> None:
        """Log what comes from `stream` until its end.

        A child that floods is read slowly, which in the end blocks it: a server that writes a
        megabyte of log a second is not serving, and reading at its pace would starve the engine.
        """
        splitter = LineSplitter()
        while data := bytes(await stream.receive_some(_CHUNK_BYTES)):
            self._write(splitter.feed(data), pid)
            await trio.sleep(self._bytes.take(len(data), trio.current_time()))
        self._write(splitter.finish(), pid)
        self._tell_dropped(pid)

    def _write(self, lines: list[str], pid: int) -> None:
        now = trio.current_time()
        for text in lines:
            level = self._level_of(text)
            self._tail.append((level, text))
            if not self._lines.try_take(1, now):
                self._dropped += 1
                continue
            self._tell_dropped(pid)
            logger.log(level, "child output", extra={"child": self._name, "pid": pid, "line": text})

    def _tell_dropped(self, pid: int) -> None:
        if self._dropped:
            logger.warning(
                "child output dropped",
                extra={"child": self._name, "pid": pid, "lines": self._dropped},
            )
            self._dropped = 0
