"""The metrics as text, written a family at a time: other tasks run in between.

Written at once, thousands of series would hold up every answer for tens of milliseconds.
"""

from collections.abc import Callable, Iterable
from typing import Final

import attrs
import trio
from prometheus_client import CollectorRegistry, Metric, exposition
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

PLAIN_TYPE: Final = exposition.CONTENT_TYPE_PLAIN_0_0_4
OPEN_TYPE: Final = openmetrics.CONTENT_TYPE_LATEST
_OPEN_END: Final = b"# EOF\n"


@attrs.frozen
class _Family(Collector):
    """One family as a registry: what the library's writers take."""

    metric: Metric

    def collect(self) -> Iterable[Metric]:
        return (self.metric,)


async def write_plain(metrics: CollectorRegistry) -> bytes:
    """Return the metrics in Prometheus' text format.

    Cancellation: a checkpoint a family.
    """
    return b"".join(await _write_families(metrics, exposition.generate_latest))


async def write_open(metrics: CollectorRegistry) -> bytes:
    """Return the metrics in the OpenMetrics text format.

    Cancellation: a checkpoint a family.
    """
    families = await _write_families(metrics, openmetrics.generate_latest)
    return b"".join([text.removesuffix(_OPEN_END) for text in families]) + _OPEN_END


async def _write_families(
    metrics: CollectorRegistry, write: Callable[[Collector], bytes]
) -> list[bytes]:
    texts = []
    for metric in metrics.collect():
        texts.append(write(_Family(metric)))
        await trio.lowlevel.checkpoint()
    return texts
