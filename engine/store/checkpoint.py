"""When to move the write-ahead log into the data file.

A checkpoint stops commits for as long as it runs, and that grows with the log. Left to DuckDB's
threshold it falls into the busiest moment; here it waits for an idle one, and goes ahead without
one when the log has grown so far that waiting would make the stall longer than it is worth.
"""

import attrs

from engine.store.settings import StoreSettings


@attrs.frozen
class CheckpointPolicy:
    """The decision, free of clocks and files."""

    idle_s: float
    idle_wal_bytes: int
    force_wal_bytes: int

    @classmethod
    def from_settings(cls, settings: StoreSettings) -> "CheckpointPolicy":
        return cls(
            idle_s=settings.checkpoint_idle_s,
            idle_wal_bytes=settings.checkpoint_idle_wal_bytes,
            force_wal_bytes=settings.checkpoint_wal_bytes,
        )

    def is_due(self, *, wal_bytes: int, idle_for_s: float) -> bool:
        """Tell whether to checkpoint now.

        Args:
          wal_bytes: size of the write-ahead log.
          idle_for_s: time since the last write request; 0 while requests wait.
        """
        if wal_bytes >= self.force_wal_bytes:
            return True
        return idle_for_s >= self.idle_s and wal_bytes >= self.idle_wal_bytes
