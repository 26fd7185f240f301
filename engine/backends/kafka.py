"""The event stream's Kafka: an embedded broker, or the cluster that is configured."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import trio

from engine.backends.binaries import find_kafka_broker
from engine.backends.folder import make_private_folder
from engine.backends.kafka_probe import ClusterProbe, load_tls_context, parse_addresses
from engine.backends.kafka_server import EmbeddedBroker, KafkaEndpoint
from engine.backends.observable import Observable
from engine.backends.probe import run_monitor
from engine.backends.report import BackendReport, BackendState, open_reported
from engine.backends.supervise import Supervision, run_supervised
from engine.config import KafkaConfig
from engine.health import HealthBoard

_PART = "kafka"
# The embedded broker waits for its clients to leave, and has nothing on disk to bring in order.
_SUPERVISION = Supervision(stop_grace_s=1.0)


@attrs.frozen
class KafkaBackend:
    """Brokers to connect to, which may be down at any moment: see `state`."""

    embedded: bool
    _endpoint: Observable[KafkaEndpoint] = attrs.field(repr=False)
    _report: BackendReport = attrs.field(repr=False)

    @property
    def endpoint(self) -> KafkaEndpoint:
        return self._endpoint.value

    @property
    def bootstrap_servers(self) -> str:
        return self._endpoint.value.bootstrap_servers

    @property
    def incarnation(self) -> str | None:
        return self._endpoint.value.incarnation

    @property
    def state(self) -> BackendState:
        return self._report.state.value

    async def wait_endpoint_change(self, seen: KafkaEndpoint) -> KafkaEndpoint:
        """Return the endpoint as soon as it differs from `seen`.

        With the embedded broker that is each time another start of it serves; its topics must then
        be created anew, which is left to the one module that speaks the whole protocol. With a
        configured cluster it never happens.
        """
        return await self._endpoint.wait_change(seen)

    async def wait_state_change(self, seen: BackendState) -> BackendState:
        """Return the state as soon as it differs from `seen`."""
        return await self._report.state.wait_change(seen)


@asynccontextmanager
async def open_kafka(
    config: KafkaConfig,
    data_dir: Path,
    health: HealthBoard,
    *,
    binary: Path | None = None,
    supervision: Supervision = _SUPERVISION,
) -> AsyncIterator[KafkaBackend]:
    """Provide Kafka, embedded unless `config.bootstrap_servers` names a cluster.

    Yields once it answers or is known not to; from then on its state is kept up to date on the
    health board (part `kafka`, not required), in `trellis_backend_up` and in the log. An embedded
    broker that ends is started again, on the same port if it is still free; a configured one that
    comes back is used again.

    Args:
      binary: the broker to run instead of the one found.
      supervision: how patient to be; of a configured cluster, only the probe interval counts.
    Raises:
      FailedPreconditionError: no broker is installed, or the settings cannot be used.
    Cancellation: an embedded broker is stopped in order, within seconds.
    """
    if config.bootstrap_servers is not None:
        addresses = parse_addresses(config.bootstrap_servers)
        tls = await trio.to_thread.run_sync(load_tls_context, config)
        endpoint = Observable(KafkaEndpoint(config.bootstrap_servers, None))
        report = BackendReport(_PART, health)
        run: Callable[..., Awaitable[object]] = partial(
            run_monitor, ClusterProbe(addresses, tls), report, supervision.probe_interval_s
        )
    else:
        folder = make_private_folder(data_dir / "kafka")
        broker = EmbeddedBroker(find_kafka_broker(binary), folder)
        endpoint = broker.endpoint
        report = BackendReport(_PART, health)
        run = partial(run_supervised, broker, report, supervision)
    async with open_reported(report, run):
        yield KafkaBackend(config.bootstrap_servers is None, endpoint, report)
