"""Lines of a text, in blocks, none held that is longer than a row may be."""

from collections.abc import Iterable, Iterator

import attrs

from engine.tasks.parsing.limits import BATCH_ROWS, MAX_ROW_BYTES
from engine.tasks.parsing.refusals import Problem, Reason, show_bytes


@attrs.frozen
class LineBlock:
    """Lines that follow one another."""

    first_number: int
    """Of the first of them, from 1."""
    lines: list[bytes]
    """Without their line breaks (a carriage return is part of the line). Empty where too long."""
    too_long: dict[int, Problem]
    """Lines that were not kept, by position."""


def read_lines(pieces: Iterable[bytes]) -> Iterator[LineBlock]:
    """Yield all lines in blocks of at most `BATCH_ROWS`; the end of the text ends the last one."""
    number = 1
    held = bytearray()
    dropped_bytes = 0
    for piece in pieces:
        head, line_break, tail = piece.rpartition(b"\n")
        if line_break:
            # All but the first of these lines lie within the piece, which is no longer than a row.
            first, *rest = head.split(b"\n")
            line, problem = _close(held, first, dropped_bytes)
            for block in _cut(number, [line, *rest], problem):
                yield block
                number += len(block.lines)
            held = bytearray(tail)
            dropped_bytes = 0
            continue
        room = MAX_ROW_BYTES + 1 - len(held)
        held += piece[:room]
        dropped_bytes += max(0, len(piece) - room)
    if held:
        line, problem = _close(held, b"", dropped_bytes)
        yield from _cut(number, [line], problem)


def _close(held: bytearray, end: bytes, dropped_bytes: int) -> tuple[bytes, Problem | None]:
    size_bytes = len(held) + dropped_bytes + len(end)
    if size_bytes <= MAX_ROW_BYTES:
        return bytes(held) + end, None
    detail = f"the line has {size_bytes} bytes, allowed are {MAX_ROW_BYTES}"
    return b"", Problem(Reason.ROW_TOO_LARGE, detail, show_bytes(bytes(held[:1024]) + end[:1024]))


def _cut(number: int, lines: list[bytes], first_problem: Problem | None) -> Iterator[LineBlock]:
    too_long = {} if first_problem is None else {0: first_problem}
    for start in range(0, len(lines), BATCH_ROWS):
        yield LineBlock(number + start, lines[start : start + BATCH_ROWS], too_long)
        too_long = {}
