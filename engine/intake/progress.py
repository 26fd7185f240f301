"""Is consumption moving? Decided from offsets and times alone."""

from collections.abc import Mapping

import attrs


@attrs.frozen
class PartitionProgress:
    """Where a partition stands. `age_s` is the time since its offset last moved while it lagged."""

    lag: int
    age_s: float


@attrs.frozen
class Progress:
    """Where all partitions stand."""

    partitions: Mapping[int, PartitionProgress]
    stuck_after_s: float

    @property
    def lag(self) -> int:
        return sum(partition.lag for partition in self.partitions.values())

    @property
    def age_s(self) -> float:
        return max((partition.age_s for partition in self.partitions.values()), default=0.0)

    @property
    def stuck(self) -> tuple[int, ...]:
        """The partitions that have lagged without moving for `stuck_after_s`."""
        return tuple(
            number
            for number, partition in sorted(self.partitions.items())
            if partition.age_s >= self.stuck_after_s
        )


@attrs.frozen
class _Seen:
    next_offset: int
    moved_at_s: float


class ProgressWatch:
    """Remembers when each partition's offset last moved or had nothing to move to."""

    def __init__(self, stuck_after_s: float) -> None:
        self._stuck_after_s = stuck_after_s
        self._seen: dict[int, _Seen] = {}

    def observe(
        self, now_s: float, next_offsets: Mapping[int, int], end_offsets: Mapping[int, int]
    ) -> Progress:
        """Take note of the offsets at a time.

        Args:
          now_s: a monotonic clock, in seconds.
          next_offsets: what is committed, by partition; others are forgotten.
          end_offsets: ends of the logs, by partition, as last known; a partition without one is
            taken to have no lag.
        """
        partitions: dict[int, PartitionProgress] = {}
        seen: dict[int, _Seen] = {}
        for partition, next_offset in next_offsets.items():
            lag = max(end_offsets.get(partition, next_offset) - next_offset, 0)
            before = self._seen.get(partition)
            if before is None or lag == 0 or before.next_offset != next_offset:
                before = _Seen(next_offset, now_s)
            seen[partition] = before
            partitions[partition] = PartitionProgress(lag, now_s - before.moved_at_s)
        self._seen = seen
        return Progress(partitions, self._stuck_after_s)
