"""How late the event loop comes to what is due, as a metric."""

from typing import Final

import trio

from engine import metrics

_INTERVAL_S: Final = 0.1


async def run_loop_watch() -> None:
    """Measure the loop's delay until cancelled."""
    while True:
        due = trio.current_time() + _INTERVAL_S
        await trio.sleep_until(due)
        metrics.LOOP_LAG_SECONDS.observe(trio.current_time() - due)
