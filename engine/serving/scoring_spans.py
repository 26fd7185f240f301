"""The two parts of a score, as spans: the wait for a worker, and the worker's time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import trio

from engine import tracing
from engine.serving.rows import Row, VersionKey


@contextmanager
def told_scoring(key: VersionKey, rows: Sequence[Row]) -> Iterator[None]:
    """Tell of rows that are queued, once the block that waits for their scores has ended.

    Afterwards, since only then it is known when the worker had them: the last of them the last
    time, if it was several.
    """
    error = ""
    try:
        yield
    except BaseException as raised:
        error = f"{type(raised).__name__}: {raised}"
        raise
    finally:
        now_s = trio.current_time()
        handed_s = max((row.handed_s for row in rows), default=now_s)
        attributes: dict[str, str | int] = {
            "trellis.model": key[0],
            "trellis.model.version": key[1],
            "trellis.rows": len(rows),
        }
        queued_s = rows[0].queued_s if rows else now_s
        if handed_s == queued_s:
            tracing.record("wait for a worker", queued_s, now_s, now_s, attributes, error=error)
        else:
            tracing.record("wait for a worker", queued_s, handed_s, now_s, attributes)
            attributes["trellis.attempts_lost"] = max(row.attempts for row in rows)
            tracing.record("score", handed_s, now_s, now_s, attributes, error=error)
