"""When to start a server again that has ended: a decision without clock or process."""

import attrs


@attrs.frozen
class RestartPolicy:
    """How long to wait before the next start, and when to raise the alarm."""

    first_delay_s: float = 0.1
    """A single crash should cost clients little more than the restart itself."""

    longest_delay_s: float = 10.0
    """What cannot start keeps being tried (a full disk is freed, a port too), but never hot."""

    steady_after_s: float = 30.0
    """Service for this long ends a row of failures."""

    alarm_after: int = 5
    """More failures in a row than this are not an accident."""


@attrs.frozen
class RestartDecision:
    """Wait `delay_s`, then start; `alarm` says that restarting alone has not helped."""

    delay_s: float
    failures: int
    alarm: bool


class RestartHistory:
    """Counts the failures of one server that followed on each other."""

    def __init__(self, policy: RestartPolicy) -> None:
        self._policy = policy
        self._failures = 0

    def record_end(self, served_s: float, jitter: float) -> RestartDecision:
        """Decide what follows the end of a server.

        Args:
          served_s: how long it had served, 0 if it never became ready.
          jitter: a random number in [0, 1); several engines on one machine, hit by the same
            cause, then do not start their servers in step.
        """
        policy = self._policy
        if served_s >= policy.steady_after_s:
            self._failures = 0
        self._failures += 1
        # The exponent is bounded so that a server that failed for a year does not overflow it.
        doubled_s = policy.first_delay_s * 2.0 ** min(self._failures - 1, 32)
        return RestartDecision(
            delay_s=min(policy.longest_delay_s, doubled_s) * (0.5 + 0.5 * jitter),
            failures=self._failures,
            alarm=self._failures > policy.alarm_after,
        )
