"""Playing traffic or a recorded file against the clock, in tasks."""

import logging
from collections.abc import Callable, Generator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

import trio

from engine.clock import read_clock_us
from engine.errors import TrellisError
from engine.generator.batches import Batch, compute_batch
from engine.generator.delivery import Delivery, Send
from engine.generator.malformed import MalformedMessages
from engine.generator.replay import ReplayRow, SkippedRow, open_replay
from engine.generator.sendlog import SendLog, open_send_log
from engine.generator.settings import DEFAULT_EVENTS_PER_SECOND, GeneratorSettings
from engine.generator.stats import GeneratorStats
from engine.generator.traffic import TrafficModel

_TICK_S: Final = 0.01  # short enough to be smooth, long enough to send events in batches
_BATCH_EVENTS: Final = 500  # some 3 ms of computing, for which the event loop waits
_CATCH_UP_S: Final = 5.0  # traffic that is later than this is put off instead of made up for
_REPLAY_TICK_S: Final = 0.05
_REPLAY_BATCHES_AHEAD: Final = 4
_SHOWN_SKIPPED_ROWS: Final = 20

logger = logging.getLogger(__name__)


async def run_generator(
    settings: GeneratorSettings,
    send: Send,
    *,
    stats: GeneratorStats | None = None,
    clock_us: Callable[[], int] = read_clock_us,
) -> GeneratorStats:
    """Send traffic until the settings' limit, or until cancelled.

    Args:
      settings: what to send.
      send: sends (key, value) messages and returns when they are acknowledged.
      stats: counters to keep; a progress display may read them meanwhile.
      clock_us: what events are stamped with, UTC, microseconds.
    Returns: the counters.
    Raises:
      InvalidArgumentError: the file to replay cannot be used.
      UnavailableError: sending failed for longer than `give_up_after_s`; when a file is
        replayed, at once, since a hole in a recorded history is worse than none of it.
    """
    stats = GeneratorStats() if stats is None else stats
    with open_send_log(settings.log) as log:
        try:
            if settings.replay is None:
                await _run_tasks(settings, send, stats, log, clock_us)
            else:
                delivery = Delivery(send, stats, log, give_up_after_s=0)
                await _run_replay(settings, settings.replay, delivery, stats)
        except BaseExceptionGroup as group:
            error = _first_of_ours(group)
            if error is None:
                raise
            raise error from group
    logger.info(
        "generator finished",
        extra={
            "acknowledged": stats.acknowledged,
            "malformed": stats.malformed,
            "unacknowledged": stats.unacknowledged,
            "skipped_rows": stats.skipped_rows,
        },
    )
    return stats


async def _run_tasks(
    settings: GeneratorSettings,
    send: Send,
    stats: GeneratorStats,
    log: SendLog | None,
    clock_us: Callable[[], int],
) -> None:
    shares = min(settings.tasks, settings.users)
    rate = settings.events_per_second or DEFAULT_EVENTS_PER_SECOND
    async with trio.open_nursery() as nursery:
        for share in range(shares):
            model = TrafficModel(
                seed=settings.seed,
                users=settings.users,
                events_per_second=rate / shares,
                share=share,
                shares=shares,
                drift_at_s=settings.drift_at_s,
                day_s=settings.day_s,
            )
            nursery.start_soon(
                partial(
                    _run_traffic,
                    model,
                    MalformedMessages(
                        seed=settings.seed, share=share, rate=settings.malformed_rate
                    ),
                    Delivery(send, stats, log, settings.give_up_after_s),
                    events=_split(settings.events, share, shares),
                    duration_s=settings.duration_s,
                    clock_us=clock_us,
                ),
                name=f"generator {share}",
            )


def _split(total: int | None, share: int, shares: int) -> float:
    """Return how many of `total` events a share makes, so that the shares sum to it."""
    return float("inf") if total is None else (total + shares - 1 - share) // shares


async def _run_traffic(
    model: TrafficModel,
    malformed: MalformedMessages,
    delivery: Delivery,
    *,
    events: float,
    duration_s: float | None,
    clock_us: Callable[[], int],
) -> None:
    """Play one model: what is due goes out, and what was late goes out as soon as it can."""
    began, after_us = trio.current_time(), clock_us()
    end = began + (float("inf") if duration_s is None else duration_s)
    origin = began  # when shop time was 0
    while events > 0:
        elapsed_s = trio.current_time() - origin
        due = model.take_due(elapsed_s, int(min(events, _BATCH_EVENTS)))
        if due:
            events -= len(due)
            now_us = max(after_us, clock_us())
            await delivery.deliver(compute_batch(due, malformed, after_us=after_us, now_us=now_us))
            after_us = now_us
        now = trio.current_time()
        if now >= end:
            return
        if len(due) < _BATCH_EVENTS:
            # Measured from the origin, so that lateness does not add up.
            wake = origin + max(model.next_due_s, elapsed_s + _TICK_S)
            await trio.sleep_until(min(wake, end))
        # After a long outage shop time has stood still; hours of traffic at once serve nobody.
        origin = max(origin, now - model.next_due_s - _CATCH_UP_S)


async def _run_replay(
    settings: GeneratorSettings, path: Path, delivery: Delivery, stats: GeneratorStats
) -> None:
    rate = settings.events_per_second or float("inf")
    batch_rows = max(1, int(min(rate * _REPLAY_TICK_S, _BATCH_EVENTS)))
    send_rows, receive_rows = trio.open_memory_channel[list[ReplayRow]](_REPLAY_BATCHES_AHEAD)
    with open_replay(path) as rows:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_read_rows, rows, batch_rows, send_rows)
            nursery.start_soon(_send_rows, settings, rate, receive_rows, delivery, stats)


async def _read_rows(
    rows: Generator[ReplayRow, None, None],
    batch_rows: int,
    send_rows: trio.MemorySendChannel[list[ReplayRow]],
) -> None:
    limiter = trio.CapacityLimiter(1)
    async with send_rows:
        while batch := await trio.to_thread.run_sync(
            lambda: list(islice(rows, batch_rows)), limiter=limiter
        ):
            try:
                await send_rows.send(batch)
            except trio.BrokenResourceError:
                return  # the limit is reached, nobody wants the rest


async def _send_rows(
    settings: GeneratorSettings,
    rate: float,
    receive_rows: trio.MemoryReceiveChannel[list[ReplayRow]],
    delivery: Delivery,
    stats: GeneratorStats,
) -> None:
    left = float("inf") if settings.events is None else settings.events
    end_s = float("inf") if settings.duration_s is None else settings.duration_s
    started, sent = trio.current_time(), 0
    async with receive_rows:
        async for rows in receive_rows:
            messages = [row for row in rows if not isinstance(row, SkippedRow)]
            messages = messages[: int(min(left, len(messages)))]
            _tell_skipped(rows, stats)
            await trio.sleep_until(started + sent / rate)
            if trio.current_time() - started > end_s:
                return
            if messages:
                await delivery.deliver(Batch(messages))
            sent += len(messages)
            left -= len(messages)
            if left <= 0:
                return


def _tell_skipped(rows: Sequence[ReplayRow], stats: GeneratorStats) -> None:
    for row in rows:
        if isinstance(row, SkippedRow):
            stats.skipped_rows += 1
            if stats.skipped_rows <= _SHOWN_SKIPPED_ROWS:
                logger.warning("row skipped", extra={"line": row.line, "problem": row.problem})
            if stats.skipped_rows == _SHOWN_SKIPPED_ROWS:
                logger.warning("further skipped rows are counted only")


def _first_of_ours(group: BaseExceptionGroup[BaseException]) -> TrellisError | None:
    """Return the first error of a group that holds nothing but this program's own errors."""
    ours, others = group.split(TrellisError)
    if ours is None or others is not None:
        return None
    error: BaseException = ours
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, TrellisError)
    return error
