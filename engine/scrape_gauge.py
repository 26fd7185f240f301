"""Gauges of things that come and go."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class ScrapeGauge(Collector):
    """A gauge with one label that is read when it is asked for.

    There are as many series as there are things at that moment: nothing is left of those that are
    gone, and nobody has to keep those that are there up to date.
    """

    def __init__(
        self, name: str, documentation: str, label: str, registry: CollectorRegistry = REGISTRY
    ) -> None:
        """Make a gauge without series and register it."""
        self._name = name
        self._documentation = documentation
        self._label = label
        self._readers: list[Callable[[], Mapping[str, float]]] = []
        registry.register(self)

    @contextmanager
    def shown_by(self, read: Callable[[], Mapping[str, float]]) -> Iterator[None]:
        """Show, while the block runs, what `read` returns by the label's values.

        Args:
          read: does not block; called from wherever the metrics are asked for.
        """
        self._readers.append(read)
        try:
            yield
        finally:
            self._readers.remove(read)

    def collect(self) -> Iterator[Metric]:
        """Yield the gauge as it is now."""
        family = GaugeMetricFamily(self._name, self._documentation, labels=[self._label])
        for read in self._readers:
            for value, reading in read().items():
                family.add_metric([value], reading)
        yield family
