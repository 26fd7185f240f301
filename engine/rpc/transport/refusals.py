"""Connections that are turned away: all are counted, some are told of."""

import logging
from collections import Counter
from typing import Final

import trio

from engine import metrics

logger = logging.getLogger(__name__)

_TOLD_ONE_BY_ONE: Final = 10
"""A port that is scanned, or a client that is configured wrong and tries again and again, must not
fill the log; the first few say what it is."""
_PERIOD_S: Final = 60.0


class Refusals:
    """Those of one port. Somebody calls `sweep` every few seconds, and `close` at the end."""

    def __init__(self) -> None:
        self._began_s = trio.current_time()
        self._told = 0
        self._untold: Counter[str] = Counter()

    def note(self, kind: str, why: str, *, level: int = logging.INFO) -> None:
        """Count a connection that was turned away.

        Args:
          kind: of a few: a label of the metric.
          why: in words.
        """
        metrics.RPC_CONNECTIONS_REFUSED.labels(kind).inc()
        self.sweep(trio.current_time())
        if self._told < _TOLD_ONE_BY_ONE:
            self._told += 1
            logger.log(level, "connection refused", extra={"kind": kind, "why": why})
        else:
            self._untold[kind] += 1

    def sweep(self, now_s: float) -> None:
        """Sum up a period that is over."""
        if now_s - self._began_s >= _PERIOD_S:
            self.close()
            self._began_s = now_s
            self._told = 0

    def close(self) -> None:
        """Sum up what was not told of yet."""
        if self._untold:
            facts = {"count": self._untold.total(), "kinds": dict(self._untold)}
            logger.warning("more connections refused", extra=facts)
            self._untold.clear()
