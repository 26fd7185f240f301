"""The writer channel: every write of the system goes through this one task.

Requests that have queued while a transaction ran are written by the next one together (group
commit), so the cost of a commit is shared and the queue shortens under load. A sender is answered
after the commit that holds its rows, never before.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs
import duckdb
import outcome
import trio

from engine import metrics, tracing
from engine.errors import (
    DataFileFailedError,
    ResourceExhaustedError,
    SchemaMismatchError,
    StoreError,
    TrellisError,
    WriterClosedError,
)
from engine.records import Commit, Receipt, WriteRequest
from engine.store.budget import Budget
from engine.store.catalog import Table, check_operation
from engine.store.checkpoint import CheckpointPolicy
from engine.store.checkpoint_hold import CheckpointHold
from engine.store.settings import StoreSettings
from engine.store.snapshot import Snapshot, count_rows
from engine.store.transaction import FILE_FAILURES, FileFailure, write_group

logger = logging.getLogger(__name__)

CommitListener = Callable[[Commit], None]


@attrs.define(eq=False)
class _Pending:
    request: WriteRequest
    rows: int
    size_bytes: int
    link: tracing.SpanLink | None
    """To the span of whoever waits for it."""
    answered: trio.Event = attrs.field(factory=trio.Event)
    result: outcome.Maybe[Receipt] | None = None


class Writer:
    """The only code that writes the data file. Made by `open_store`; used from the Trio thread."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        catalog: Mapping[str, Table],
        settings: StoreSettings,
        *,
        commit_seq: int,
    ) -> None:
        self._connection = connection
        self._catalog = catalog
        self._settings = settings
        self._policy = CheckpointPolicy.from_settings(settings)
        self._hold = CheckpointHold(settings.held_wal_bytes)
        self._wal_path = settings.path.with_name(settings.path.name + ".wal")
        self._budget = Budget(rows=settings.queue_rows, size_bytes=settings.queue_bytes)
        self._send, self._receive = trio.open_memory_channel[_Pending](settings.queue_requests)
        self._group: list[_Pending] = []
        self._listeners: list[CommitListener] = []
        self._commit_seq = commit_seq
        self._written_seq = commit_seq  # of the writer's thread: the file's own, at once
        self._failure: DataFileFailedError | None = None
        self._busy_since_s: float | None = None
        # One thread at a time touches the write connection; readers' threads are not its rivals.
        self._limiter = trio.CapacityLimiter(1)
        metrics.WRITER_QUEUE_ROWS_MOST.set(settings.queue_rows)
        metrics.WRITER_QUEUE_BYTES_MOST.set(settings.queue_bytes)

    @property
    def commit_seq(self) -> int:
        """The sequence number of the last commit; 0 in an empty file."""
        return self._commit_seq

    def busy_s(self) -> float:
        """Return for how long the commit or checkpoint under way has been; 0 while there is none.

        Of any thread: a disk that hangs is told of while nothing else can be.
        """
        since_s = self._busy_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    def add_commit_listener(self, listener: CommitListener) -> None:
        """Call `listener` after every commit, in commit order, before its senders are answered.

        A listener runs on the Trio thread and must not raise: the rows it is told of are on disk,
        so a failure there means that memory and disk disagree, and the engine stops.
        """
        self._listeners.append(listener)

    async def submit(self, request: WriteRequest) -> Receipt:
        """Write the request's rows in one transaction and wait for its commit.

        Returns: the commit's sequence number and the request's row count.
        Raises:
          SchemaMismatchError: a table, column, type or constraint does not fit; nothing of this
            request is written, others are not affected.
          ResourceExhaustedError: DuckDB has not enough memory for this request.
          WriterClosedError: the writer has stopped.
          DataFileFailedError: the data file can no longer be written.
        Cancellation: while waiting for room nothing is written; once queued, the commit may still
          happen, so a caller who must not write twice makes its request idempotent.
        """
        for operation in request.operations:
            check_operation(self._catalog, operation)
        pending = _Pending(request, request.row_count, request.size_bytes, tracing.current_link())
        await self._budget.acquire(pending.rows, pending.size_bytes)
        self._show_queue()
        try:
            await self._send.send(pending)
        except trio.Cancelled:
            self._release(pending)
            raise
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            self._release(pending)
            raise self._failure or WriterClosedError() from None
        await pending.answered.wait()
        assert pending.result is not None
        return pending.result.unwrap()

    @property
    def checkpoint_hold(self) -> CheckpointHold:
        """Who holds checkpoints off, to be kept and ended by whoever has a snapshot."""
        return self._hold

    async def begin_snapshot(self) -> Snapshot:
        """Hold checkpoints off, and describe the file as of a commit. Commits go on meanwhile.

        Returns: what to copy, before `checkpoint_hold` is told to end. It has to be told every so
          often that the copy goes on.
        Raises:
          FailedPreconditionError: another snapshot is being copied.
          StoreError: the rows cannot be counted.
        Cancellation: checkpoints go on.
        """
        backup_id = self._hold.begin()
        try:
            return await trio.to_thread.run_sync(self._describe, backup_id, limiter=self._limiter)
        except BaseException as error:
            self._hold.release()
            if isinstance(error, duckdb.Error | OSError):
                raise StoreError(f"the data file cannot be described: {error}") from error
            raise

    def _describe(self, backup_id: str) -> Snapshot:
        # In the writer's turn: no transaction is under way, so the log ends with a commit.
        return Snapshot(
            backup_id=backup_id,
            path=self._settings.path.absolute(),
            data_bytes=_size_bytes(self._settings.path),
            wal_bytes=_size_bytes(self._wal_path),
            commit_seq=self._written_seq,
            row_counts=count_rows(self._connection),
        )

    def close(self) -> None:
        """Accept nothing more; what has queued is still written, then `run` returns."""
        self._send.close()

    async def run(self) -> None:
        """Write until the channel is closed and empty, then checkpoint.

        Raises:
          DataFileFailedError: the data file failed; every sender got the same error.
        Cancellation: not a checkpoint while a transaction runs. The owner ends this task by
          `close`, so that what was queued is written.
        """
        metrics.WRITER_BUSY_SECONDS.set_function(self.busy_s)
        try:
            while await self._take_group():
                await self._write_group()
                if self._checkpoint_is_due(idle_for_s=0.0):
                    await self._checkpoint()
            self._hold.release()
            await self._checkpoint()
        except DataFileFailedError as error:
            self._failure = error
            raise
        finally:
            metrics.WRITER_BUSY_SECONDS.set_function(lambda: 0.0)
            self._refuse_rest()

    async def _take_group(self) -> bool:
        """Wait for requests and take what has queued; checkpoint if the wait turns out idle.

        Returns: False when the channel is closed and empty.
        """
        while True:
            with trio.move_on_after(self._settings.checkpoint_idle_s):
                try:
                    first = await self._receive.receive()
                except trio.EndOfChannel:
                    return False
                self._group = self._drain(first)
                return True
            if self._checkpoint_is_due(idle_for_s=self._settings.checkpoint_idle_s):
                await self._checkpoint()

    def _drain(self, first: _Pending) -> list[_Pending]:
        group = [first]
        rows = first.rows
        while rows < self._settings.batch_rows:
            try:
                pending = self._receive.receive_nowait()
            except (trio.WouldBlock, trio.EndOfChannel):
                break
            group.append(pending)
            rows += pending.rows
        return group

    async def _write_group(self) -> None:
        group = self._group
        error = await self._commit(group)
        if error is not None and len(group) > 1:
            # One request is at fault; alone, each tells whether it is the one.
            for pending in group:
                error = await self._commit([pending])
                if error is not None:
                    self._refuse(pending, error)
        elif error is not None:
            self._refuse(group[0], error)

    async def _commit(self, group: list[_Pending]) -> duckdb.Error | None:
        """Commit the group as one transaction and answer it, or return why it was rolled back."""
        commit_seq = self._commit_seq + 1
        requests = tuple(pending.request for pending in group)
        started_s = trio.current_time()
        try:
            with self._shown_busy():
                await trio.to_thread.run_sync(
                    self._write, requests, commit_seq, limiter=self._limiter
                )
        except FileFailure as error:
            raise DataFileFailedError(
                f"writing {self._settings.path} failed: {error}; free disk space or repair the "
                "disk, then start again: what was acknowledged is in the file"
            ) from error
        except duckdb.Error as error:
            self._trace(group, started_s, {"error.type": type(error).__name__}, str(error))
            return error
        self._commit_seq = commit_seq
        metrics.COMMIT_SEQ.set(commit_seq)
        metrics.WRITER_COMMIT_SECONDS.observe(trio.current_time() - started_s)
        rows = sum(pending.rows for pending in group)
        metrics.WRITER_BATCH_ROWS.observe(rows)
        self._trace(group, started_s, {"trellis.rows": rows, "trellis.commit_seq": commit_seq})
        commit = Commit(commit_seq, requests)
        for listener in self._listeners:
            listener(commit)
        for pending in group:
            self._answer(pending, outcome.Value(Receipt(commit_seq, pending.rows)))
        return None

    def _trace(
        self,
        group: Sequence[_Pending],
        started_s: float,
        facts: dict[str, str | int],
        error: str = "",
    ) -> None:
        """Tell of a transaction, to those who trace what it was for: it is no one's alone."""
        links = [pending.link for pending in group if pending.link is not None]
        if links:
            now_s = trio.current_time()
            attributes = {"db.system.name": "duckdb", "trellis.requests": len(group), **facts}
            tracing.record("commit", started_s, now_s, now_s, attributes, links=links, error=error)

    def _write(self, requests: Sequence[WriteRequest], commit_seq: int) -> None:
        write_group(self._connection, self._catalog, requests, commit_seq)
        self._written_seq = commit_seq

    def _refuse(self, pending: _Pending, error: duckdb.Error) -> None:
        metrics.WRITER_FAILED_REQUESTS.inc()
        logger.warning("write request refused", extra={"error": str(error)})
        mapped: TrellisError = SchemaMismatchError(str(error))
        if isinstance(error, duckdb.OutOfMemoryException):
            mapped = ResourceExhaustedError(f"not enough memory for this write: {error}")
        mapped.__cause__ = error
        self._answer(pending, outcome.Error(mapped))

    def _refuse_rest(self) -> None:
        """Answer whoever still waits when writing ends: every sender hears of its request."""
        self._send.close()
        rest = [pending for pending in self._group if not pending.answered.is_set()]
        with self._receive:
            while True:
                try:
                    rest.append(self._receive.receive_nowait())
                except (trio.WouldBlock, trio.EndOfChannel):
                    break
        for pending in rest:
            self._answer(pending, outcome.Error(self._failure or WriterClosedError()))

    def _answer(self, pending: _Pending, result: outcome.Maybe[Receipt]) -> None:
        self._release(pending)
        pending.result = result
        pending.answered.set()

    def _release(self, pending: _Pending) -> None:
        self._budget.release(pending.rows, pending.size_bytes)
        self._show_queue()

    @contextmanager
    def _shown_busy(self) -> Iterator[None]:
        self._busy_since_s = time.monotonic()
        try:
            yield
        finally:
            self._busy_since_s = None

    def _show_queue(self) -> None:
        metrics.WRITER_QUEUE_ROWS.set(self._budget.rows_held)
        metrics.WRITER_QUEUE_BYTES.set(self._budget.bytes_held)

    def _checkpoint_is_due(self, *, idle_for_s: float) -> bool:
        wal_bytes = _size_bytes(self._wal_path)
        metrics.STORE_WAL_BYTES.set(wal_bytes)
        held = self._hold.holds_off(wal_bytes)
        return not held and self._policy.is_due(wal_bytes=wal_bytes, idle_for_s=idle_for_s)

    async def _checkpoint(self) -> None:
        started_s = trio.current_time()
        try:
            with self._shown_busy():
                free_bytes = await trio.to_thread.run_sync(
                    _run_checkpoint, self._connection, limiter=self._limiter
                )
        except FILE_FAILURES as error:
            raise DataFileFailedError(
                f"checkpoint of {self._settings.path} failed: {error}; free disk space or repair "
                "the disk, then start again, or restore a backup if the file is damaged"
            ) from error
        except duckdb.Error as error:
            # The log keeps everything; the next occasion tries again.
            logger.warning("checkpoint put off", extra={"error": str(error)})
            return
        metrics.WRITER_CHECKPOINT_SECONDS.observe(trio.current_time() - started_s)
        metrics.STORE_WAL_BYTES.set(_size_bytes(self._wal_path))
        metrics.STORE_FILE_BYTES.set(_size_bytes(self._settings.path))
        metrics.STORE_FREE_BYTES.set(free_bytes)


def _run_checkpoint(connection: duckdb.DuckDBPyConnection) -> int:
    """Checkpoint, and return how many bytes of the file are free to be written again."""
    connection.execute("CHECKPOINT")
    [(free_bytes,)] = connection.execute(
        "SELECT block_size * free_blocks FROM pragma_database_size()"
    ).fetchall()
    return int(free_bytes)


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
