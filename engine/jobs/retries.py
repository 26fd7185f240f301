"""What becomes of a job whose attempt has failed. Pure."""

from typing import Final

import attrs

from engine.jobs.settings import JobsSettings
from engine.jobs.states import JobState

_MOST_UNCHARGED: Final = 50
"""With the delays between them some hours of a bad network. A job whose own content breaks every
connection must end some time."""


@attrs.frozen
class AttemptFacts:
    """What a decision rests on: the attempt that has just ended, and those before it."""

    attempt: int
    """Of this run, the one that has just ended; from 1."""
    failures: int
    """Attempts of this run that were charged to the job, without the one that has just ended."""
    max_attempts: int
    cancel_requested: bool


@attrs.frozen
class Decision:
    """A final state, or another attempt after a delay."""

    final: JobState | None
    failures: int
    """Including the attempt that has just ended, if it is charged."""
    delay_s: float = 0.0


def decide_after_error(
    facts: AttemptFacts,
    settings: JobsSettings,
    *,
    permanent: bool,
    out_of_reach: bool,
    retry_after_s: float | None,
    jitter: float,
) -> Decision:
    """Decide what follows an error that the handler reported.

    Args:
      permanent: another attempt would end the same.
      out_of_reach: what the job needs of the engine was; which is charged only once that many
        attempts of the run have ended without being charged that the job may be the cause.
      retry_after_s: a delay the handler asks for, instead of the usual one.
      jitter: a random number in [0, 1), so that jobs which failed together for one cause do not
        all come back together.
    """
    if facts.cancel_requested:
        return Decision(JobState.CANCELLED, facts.failures)
    if permanent:
        return Decision(JobState.FAILED, facts.failures + 1)
    uncharged = facts.attempt - facts.failures
    if out_of_reach and uncharged <= _MOST_UNCHARGED:
        return Decision(None, facts.failures, _delay_s(uncharged, settings, jitter))
    failures = facts.failures + 1
    if failures >= facts.max_attempts:
        return Decision(JobState.DEAD, failures)
    delay_s = _delay_s(failures, settings, jitter)
    return Decision(None, failures, delay_s if retry_after_s is None else max(0.0, retry_after_s))


def decide_after_loss(facts: AttemptFacts, *, charged: bool) -> Decision:
    """Decide what follows the end of whoever ran the job: at once again, or never."""
    if facts.cancel_requested:
        return Decision(JobState.CANCELLED, facts.failures)
    failures = facts.failures + charged
    if charged and failures >= facts.max_attempts:
        return Decision(JobState.DEAD, failures)
    return Decision(None, failures)


def _delay_s(ends: int, settings: JobsSettings, jitter: float) -> float:
    """Return how long to wait after so many ends of a kind, the last one included."""
    # The exponent is bounded so that a job with very many attempts does not overflow it.
    doubled_s = settings.retry_first_s * 2.0 ** min(ends - 1, 32)
    return min(settings.retry_longest_s, doubled_s) * (0.5 + 0.5 * jitter)
