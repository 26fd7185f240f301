"""The table `worker_log`: starts and ends of workers."""

import logging
from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa
import trio

from engine.clock import read_clock_us
from engine.errors import TrellisError
from engine.records import Append, RequestWriter, WriteRequest

logger = logging.getLogger(__name__)

_SCHEMA: Final = pa.schema(
    [
        pa.field("logged_at", pa.timestamp("us"), nullable=False),
        pa.field("worker_id", pa.string(), nullable=False),
        pa.field("slot", pa.string(), nullable=False),
        pa.field("pool", pa.string()),
        pa.field("host", pa.string(), nullable=False),
        pa.field("pid", pa.int32()),
        pa.field("change", pa.string(), nullable=False),
        pa.field("cause", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("stack", pa.string()),
    ]
)
_UNWRITTEN_MAX: Final = 1_000


class WorkerJournal:
    """Writes beside those who report, whom it never keeps waiting."""

    def __init__(self, writer: RequestWriter) -> None:
        """Write through the data file's writer, in `run`."""
        self._writer = writer
        self._send, self._receive = trio.open_memory_channel[dict[str, Any]](_UNWRITTEN_MAX)
        self.closed = trio.Event()

    def note(self, change: str, facts: Mapping[str, Any]) -> None:
        """Note a change now; it is on disk soon.

        Args:
          facts: the other columns, None where left out.
        """
        row = {"logged_at": read_clock_us(), "change": change, **facts}
        try:
            self._send.send_nowait(row)
        except trio.WouldBlock:
            # It is in the log of the process all the same.
            logger.warning("worker_log is behind; a row is left out", extra={"row": row})

    def close(self) -> None:
        """Take no more; `run` ends when all is written."""
        self._send.close()
        self.closed.set()

    async def run(self) -> None:
        """Write rows until closed.

        Cancellation: what is not written is lost to the table.
        """
        async for row in self._receive:
            rows = [row, *self._waiting()]
            batch = pa.RecordBatch.from_pylist(rows, schema=_SCHEMA)
            try:
                await self._writer.submit(WriteRequest((Append("worker_log", batch),)))
            except TrellisError as error:
                # A data file that fails stops the engine by way of those who need it.
                logger.warning("worker_log not written", extra={"detail": str(error)})

    def _waiting(self) -> list[dict[str, Any]]:
        rows = []
        while True:
            try:
                rows.append(self._receive.receive_nowait())
            except (trio.WouldBlock, trio.EndOfChannel):
                return rows
