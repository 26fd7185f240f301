"""When to give up a batch that the client cannot unpack. Decided from offsets and times alone."""

import attrs

_ATTEMPTS = 4
_PATIENCE_S = 1.0
"""Damage on the wire is gone with the next fetch; on the broker's disk it stays."""


@attrs.define
class _Trouble:
    offset: int
    since_s: float
    cause: str
    attempts: int = 0


class UnreadableBatches:
    """Remembers how often each partition failed where it stands."""

    def __init__(self) -> None:
        self._troubles: dict[int, _Trouble] = {}

    def fail(self, now_s: float, partition: int, offset: int, cause: str) -> bool:
        """Take note of a failed attempt; return whether there were enough.

        Args:
          now_s: a monotonic clock, in seconds.
          offset: where the partition stands, and what stands there cannot be unpacked.
        """
        trouble = self._troubles.get(partition)
        if trouble is None or trouble.offset != offset:
            trouble = self._troubles[partition] = _Trouble(offset, now_s, cause)
        trouble.attempts += 1
        trouble.cause = cause
        return trouble.attempts >= _ATTEMPTS and now_s - trouble.since_s >= _PATIENCE_S

    def move(self, partition: int) -> None:
        """Take note that a partition went on."""
        self._troubles.pop(partition, None)

    def describe(self) -> str | None:
        """Return which partitions fail where and why; None if none does."""
        if not self._troubles:
            return None
        return "; ".join(
            f"partition {partition} cannot be read at offset {trouble.offset} ({trouble.cause})"
            for partition, trouble in sorted(self._troubles.items())
        )
