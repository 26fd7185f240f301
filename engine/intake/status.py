"""What the intake says of itself: its part on the health board and its gauges."""

import logging
from collections.abc import Callable, Mapping

import trio

from engine import metrics
from engine.health import HealthBoard
from engine.intake.progress import Progress, ProgressWatch

logger = logging.getLogger(__name__)

PART = "intake"
TICK_S = 0.5


class IntakeStatus:
    """The link to the broker and the progress of consumption, told to whoever asks.

    The part is not required for readiness: features are served from what was committed, also while
    no new events come in.
    """

    def __init__(
        self,
        health: HealthBoard,
        stuck_after_s: float,
        next_offsets: Callable[[], Mapping[int, int]],
        writing: Callable[[], bool],
    ) -> None:
        self._health = health
        self._health.register(PART, required=False)
        self._watch = ProgressWatch(stuck_after_s)
        self._next_offsets = next_offsets
        self._writing = writing
        self._ends: dict[int, int] = {}
        self._link_detail = "connecting"
        self._link_up = False
        self._hindrance: str | None = None
        self._labelled: frozenset[int] = frozenset()
        self.progress: Progress = self._observe()

    def waiting(self, detail: str) -> None:
        """The broker answers, but nothing is consumed yet."""
        self._set_link(up=False, detail=detail)

    def consuming(self, ends: Mapping[int, int]) -> None:
        """All positions are set, records may come.

        Args:
          ends: where the logs end, by partition consumed: what waits from before counts at once.
        """
        self._ends = dict(ends)
        self._set_link(up=True, detail=f"consuming {len(ends)} partitions")

    def down(self, detail: str) -> None:
        """The broker cannot be used."""
        self._set_link(up=False, detail=detail)

    def hindered(self, detail: str | None) -> None:
        """Something keeps partitions from moving though the broker answers; None: no longer."""
        if detail == self._hindrance:
            return
        if detail is not None:
            logger.warning("intake hindered", extra={"detail": detail})
        self._hindrance = detail
        self._publish()

    def saw_ends(self, ends: Mapping[int, int]) -> Progress:
        """Take note of where the logs end."""
        self._ends = dict(ends)
        return self._publish()

    async def run_ticks(self) -> None:
        """Keep ages and the verdict up to date, also while the broker says nothing."""
        while True:
            self._publish()
            await trio.sleep(TICK_S)

    def _set_link(self, *, up: bool, detail: str) -> None:
        self._hindrance = None
        if detail != self._link_detail:
            logger.log(logging.INFO if up else logging.WARNING, "intake", extra={"detail": detail})
        self._link_up, self._link_detail = up, detail
        self._publish()

    def _observe(self) -> Progress:
        return self._watch.observe(trio.current_time(), self._next_offsets(), self._ends)

    def _publish(self) -> Progress:
        was_stuck = bool(self.progress.stuck)
        progress = self.progress = self._observe()
        for partition in self._labelled - progress.partitions.keys():
            metrics.INTAKE_LAG.remove(str(partition))
        self._labelled = frozenset(progress.partitions)
        for partition, of_one in progress.partitions.items():
            metrics.INTAKE_LAG.labels(str(partition)).set(of_one.lag)
        metrics.INTAKE_OFFSET_AGE.set(progress.age_s)
        metrics.INTAKE_STUCK.set(1 if progress.stuck else 0)
        detail = self._link_detail
        if self._hindrance is not None:
            detail += f"; {self._hindrance}"
        if progress.stuck:
            detail += (
                f"; stuck: {_tell_lag(progress.lag)}, not moved for {progress.age_s:.0f} s: "
                f"partition {', '.join(map(str, progress.stuck))}"
            )
            if self._writing():
                # Not the broker: whoever looks is sent to the disk at once.
                detail += ", and rows wait for the data file"
            if not was_stuck:
                logger.error("intake stuck", extra={"detail": detail})
        elif progress.lag:
            detail += f", {_tell_lag(progress.lag)}"
        ok = self._link_up and self._hindrance is None and not progress.stuck
        self._health.set(PART, ok=ok, detail=detail)
        return progress


def _tell_lag(messages: int) -> str:
    return "1 message waits" if messages == 1 else f"{messages} messages wait"
