"""What the store needs to know of the configuration."""

from pathlib import Path

import attrs


@attrs.frozen
class StoreSettings:
    """Limits of the data file, its writer and its readers; defaults suit a small machine."""

    path: Path
    """The DuckDB file; its lock and write-ahead log lie beside it."""
    memory_limit_bytes: int = 2 * 1024**3
    threads: int = 2
    reader_threads: int = 4
    """Queries that may run at the same time."""
    queue_rows: int = 200_000
    """Rows that may wait for the writer before senders wait."""
    queue_bytes: int = 256 * 1024**2
    """Bytes that may wait for the writer before senders wait."""
    queue_requests: int = 4_096
    """Requests that may wait for the writer before senders wait."""
    batch_rows: int = 50_000
    """Rows after which a transaction takes no further request."""
    checkpoint_wal_bytes: int = 64 * 1024**2
    """Size of the write-ahead log at which a checkpoint no longer waits for an idle moment."""
    checkpoint_idle_wal_bytes: int = 4 * 1024**2
    """Size of the write-ahead log below which an idle moment is not used for a checkpoint."""
    held_wal_bytes: int = 1024**3
    """Size of the write-ahead log at which a checkpoint no longer waits for a backup either."""
    checkpoint_idle_s: float = 0.5
    """Time without a write request that counts as idle."""
