"""How long a fetch waits at the broker for records to come."""

import time
from typing import Any

_IDLE_AFTER_S = 3.0
_EMBEDDED_WAIT_MS = 20
"""The embedded broker looks for new records only a few times per wait: 500 ms would delay each by
130 ms, 20 ms delays them by 5 and costs 5 % of a core."""
_EMBEDDED_IDLE_WAIT_MS = 200
"""A tenth of the requests, and the first record after a pause comes up to 100 ms later."""
_WAIT_MS = 250


class FetchPace:
    """Fetches often while records come, seldom while none does."""

    def __init__(self, *, embedded: bool) -> None:
        self.wait_ms = _EMBEDDED_WAIT_MS if embedded else _WAIT_MS
        """For the client to begin with."""
        self._idle_wait_ms = _EMBEDDED_IDLE_WAIT_MS if embedded else _WAIT_MS
        self._records_at_s = time.monotonic()

    def adjust(self, client: Any, *, records_came: bool) -> None:
        """Set the wait of aiokafka's AIOKafkaConsumer for the fetches to come, after a poll."""
        now_s = time.monotonic()
        if records_came:
            self._records_at_s = now_s
        idle = now_s - self._records_at_s > _IDLE_AFTER_S
        # The client has no setting for it; it reads this one for each request.
        client._fetcher._fetch_max_wait_ms = self._idle_wait_ms if idle else self.wait_ms
