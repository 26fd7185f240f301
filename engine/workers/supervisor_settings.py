"""What the supervisor holds workers to."""

from collections.abc import Mapping

import attrs


@attrs.frozen(kw_only=True)
class SupervisorSettings:
    """Times in seconds."""

    check_interval_s: float = 1.0
    check_deadline_s: float = 5.0
    """A worker that has not checked in for this long is replaced."""
    stall_s: float = 60.0
    """A worker whose job has made no progress for this long is replaced."""
    stall_s_by_job_type: Mapping[str, float] = attrs.field(factory=dict)
    idle_stall_s: float = 45.0
    """A worker whose main thread, without a job, has asked the engine nothing for this long is
    replaced. Longer than any of its calls may take."""
    start_timeout_s: float = 30.0
    """From asking for a worker, for which there may have to be a zygote first, to its process."""
    cancel_grace_s: float = 5.0
    """From telling a worker that its job is cancelled to killing it."""
    restart_intensity: int = 10
    """A slot with more failures than this within `restart_period_s` is parked."""
    restart_period_s: float = 60.0
    backoff_max_s: float = 10.0
    park_s: float = 30.0
    slots: tuple[tuple[str, str | None], ...] = ()
    """Names of the engine's own slots, each with the pool it works for; None: any."""

    def stall_limit_s(self, job_type: str) -> float:
        """Return how long a job of a type may go without progress."""
        return self.stall_s_by_job_type.get(job_type, self.stall_s)
