"""The driver of the configured Azure account, and the question whether it is there."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import attrs

from engine.backends.blobs.azure_calls import AzureCalls
from engine.backends.blobs.azure_client import describe_address, open_client, request_timeout_s
from engine.backends.blobs.azure_driver import AzureDriver
from engine.config import BlobsConfig

_PROBE_TIMEOUT_S = 3.0


@attrs.frozen
class Azure:
    """An account's container to work with. `probe` is for `run_monitor`."""

    driver: AzureDriver
    probe: Callable[[], Awaitable[str]]
    address: str


@contextmanager
def open_azure(config: BlobsConfig) -> Iterator[Azure]:
    """Provide the driver; nothing is sent yet.

    Raises:
      FailedPreconditionError: the settings cannot be understood; no secret is shown.
    """
    with open_client(config) as client:
        address = describe_address(client)

        def make_driver(timeout_s: float) -> AzureDriver:
            calls = AzureCalls(address, timeout_s, request_timeout_s(config))
            return AzureDriver(client, calls, may_create=config.create_container)

        # Probing has threads of its own too: when all others hang it must be able to tell.
        probing = make_driver(min(_PROBE_TIMEOUT_S, config.timeout_s))
        yield Azure(make_driver(config.timeout_s), probing.probe, address)
