"""When to try again, decided without a clock."""

import random

FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 5.0


def compute_retry_delay_s(
    failures: int, asked_s: float | None, left_s: float, rng: random.Random
) -> float | None:
    """Return how long to wait before the next attempt; None if it would come too late.

    Args:
      failures: attempts that have failed so far, at least one.
      asked_s: how long the server asked to be left alone, if it did.
      left_s: what is left of the operation's time.
    """
    delay_s = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(failures - 1, 16))
    # Spread, so that those whom one outage hit do not come back as one.
    delay_s *= rng.uniform(0.5, 1.0)
    if asked_s is not None:
        delay_s = max(delay_s, asked_s)
    return delay_s if delay_s < left_s else None
