"""The Console's life: it is there before the parts it shows, and for as long as they are."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import trio

from engine import metrics
from engine.clock import read_clock_us
from engine.console.feature_times import FeatureTimes
from engine.console.features import FeatureStates, show_features
from engine.console.hub import Frame, Hub
from engine.console.outages import OutageLog
from engine.console.parts import ConsoleParts
from engine.console.readings import PointHistory, read_by_label, read_sum, take_reading
from engine.console.revisions import Revisions
from engine.console.snapshot import Pool, Pulse
from engine.console.tree import DiskFacts, WriterFacts, build_tree
from engine.console.workers import show_workers
from engine.errors import BackendUnavailableError, UnavailableError
from engine.health import HealthBoard
from engine.jobs import QueueStats

TICK_S: Final = 1.0
_POINTS: Final = 120
"""Two minutes: long enough to see what has just happened, short enough to send each second."""
_QUEUE_PATIENCE_S: Final = 0.5
"""For the depths of the queue: Redis may hang, and the page should still tick."""
_MOST_OPEN: Final = 256


class Console:
    """What is shown. Used from the Trio thread; somebody runs `run`."""

    def __init__(
        self, health: HealthBoard, *, version: str, lease_s: float, most_queue_rows: int
    ) -> None:
        """Show the health board alone, until parts are shown.

        Args:
          lease_s: what a worker's lease is at most.
          most_queue_rows: what the data file's writer lets wait.
        """
        self.hub = Hub(_MOST_OPEN)
        self._health = health
        self._version = version
        self._lease_s = lease_s
        self._most_queue_rows = most_queue_rows
        self._started_at_us = read_clock_us()
        self._outages = OutageLog()
        self._points = PointHistory(_POINTS)
        self._points_told = 0
        self.revisions = Revisions()
        self._parts: ConsoleParts | None = None
        self._feature_times: FeatureTimes | None = None
        self._stopping = False

    @asynccontextmanager
    async def showing(self, parts: ConsoleParts) -> AsyncIterator[None]:
        """Show the parts while the block runs."""
        times = FeatureTimes(parts.features.feature_set, parts.store.reader)
        for listen in (self.revisions.note_commit, times.note_commit):
            parts.store.writer.add_commit_listener(listen)
        self._parts, self._feature_times = parts, times
        try:
            yield
        finally:
            self._parts, self._stopping = None, True

    @property
    def parts(self) -> ConsoleParts:
        """The live parts.

        Raises:
          UnavailableError: they are not there yet, or not any more.
        """
        if self._parts is None:
            raise UnavailableError(
                "the engine is shutting down" if self._stopping else "the engine is starting"
            )
        return self._parts

    async def find_features(self) -> FeatureStates:
        """Return all features with what fed each last.

        Raises:
          UnavailableError: the parts are not there.
          StoreError, DeadlineExceededError: the data file did not tell what was before the start.
        """
        parts, times = self.parts, self._feature_times
        assert times is not None
        await times.read_history()
        return show_features(parts.features.feature_set.features, times, parts.models.list())

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take readings each second, and publish a pulse when somebody follows; until cancelled.

        At the end all who follow get a last pulse that says so.
        """
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._greet)
            nursery.start_soon(self._outages.run, self._health)
            try:
                due_s = trio.current_time()
                while True:
                    self._points.add(take_reading(trio.current_time()))
                    if self.hub.followers:
                        await self._publish()
                    due_s = max(due_s + TICK_S, trio.current_time())
                    await trio.sleep_until(due_s)
            finally:
                self._stopping = True
                self._publish_pulse(None)
                self.hub.close()

    async def _greet(self) -> None:
        """Publish at once to the first who comes, whose last pulse may be hours old."""
        while True:
            await self.hub.wait_followed()
            await self._publish()
            await self.hub.wait_left()

    async def read_pulse(self) -> Pulse:
        """Return what there is to show now, queue and all, for whom the stream does not reach."""
        return self.build_pulse(await self._read_queue())

    async def _publish(self) -> None:
        self._publish_pulse(await self._read_queue())

    def _publish_pulse(self, queue: QueueStats | None) -> None:
        pulse, added = self.build_pulse(queue), self._points.added - self._points_told
        self._points_told += added
        brief = msgspec.structs.replace(pulse, points=self._points.to_columns(added))
        self.hub.publish(Frame(encode_pulse("pulse", pulse), encode_pulse("step", brief)))

    async def _read_queue(self) -> QueueStats | None:
        if self._parts is None:
            return None
        with trio.move_on_after(_QUEUE_PATIENCE_S):
            try:
                return await self._parts.jobs.stats()
            except BackendUnavailableError:
                # The page says that the queue is away, and the tree says why.
                return None
        return None

    def build_pulse(self, queue: QueueStats | None) -> Pulse:
        """Return what there is to show now.

        Args:
          queue: None while the queue is away.
        """
        parts, board = self._parts, self._health.snapshot()
        workers = (
            ()
            if parts is None
            else show_workers(parts.supervisor.list_workers(), parts.jobs.find_running)
        )
        writer = WriterFacts(
            int(read_sum(metrics.COMMIT_SEQ)),
            int(read_sum(metrics.WRITER_QUEUE_ROWS)),
            self._most_queue_rows,
        )
        addresses = {} if parts is None else parts.addresses
        models = 0 if parts is None else len(parts.models.list())
        return Pulse(
            at_us=read_clock_us(),
            started_at_us=self._started_at_us,
            pid=os.getpid(),
            version=self._version,
            phase=self._phase(),
            ready=self._health.ready,
            tree=build_tree(board, writer, workers, addresses, models, _read_disks()),
            outages=self._outages.snapshot(),
            workers=workers,
            lease_s=self._lease_s,
            pools=None if queue is None else show_pools(queue),
            points=self._points.to_columns(),
            most_points=_POINTS,
            interval_s=TICK_S,
            totals=_read_totals(),
            revisions=self.revisions.snapshot(),
        )

    def _phase(self) -> str:
        if self._stopping:
            return "stopping"
        return "starting" if self._parts is None else "running"


def show_pools(stats: QueueStats) -> tuple[Pool, ...]:
    """Return the pools by name."""
    return tuple(
        Pool(
            pool,
            depth.ready,
            depth.delayed,
            depth.leased,
            depth.dead,
            round(depth.oldest_ready_age_s or 0.0, 1),
        )
        for pool, depth in sorted(stats.by_pool.items())
    )


def encode_pulse(event: str, pulse: Pulse) -> bytes:
    """Return a pulse as a server-sent event of that name."""
    # JSON holds no line breaks, by which the event would end.
    return f"event: {event}\ndata: ".encode() + msgspec.json.encode(pulse) + b"\n\n"


_TOTALS: Final = {
    "events": metrics.INTAKE_EVENTS,
    "refused_messages": metrics.INTAKE_REJECTED,
    "jobs": metrics.JOBS_FINISHED,
    "replaced_workers": metrics.WORKER_RESTARTS,
    "predictions": metrics.PREDICTIONS,
    "file_bytes": metrics.STORE_FILE_BYTES,
    "log_bytes": metrics.STORE_WAL_BYTES,
    "entities": metrics.ONLINE_ENTITIES,
}


def _read_disks() -> tuple[DiskFacts, ...]:
    sizes = read_by_label(metrics.DISK_SIZE_BYTES)
    free = read_by_label(metrics.DISK_FREE_BYTES)
    return tuple(DiskFacts(name, free.get(name, 0.0), size) for name, size in sizes.items())


def _read_totals() -> dict[str, float]:
    return {name: read_sum(metric) for name, metric in _TOTALS.items()}
