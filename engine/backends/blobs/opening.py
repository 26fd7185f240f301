"""The blob store that the configuration names, and its state on the health board."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import attrs

from engine.backends.blobs.files import open_blob_files
from engine.backends.blobs.local_folder import FolderDriver
from engine.backends.blobs.store import BlobStore
from engine.backends.folder import hold_folder, make_private_folder
from engine.backends.probe import run_monitor
from engine.backends.report import BackendReport, BackendState, open_reported
from engine.backends.supervise import Supervision
from engine.config import BlobsConfig, PathsConfig
from engine.errors import FailedPreconditionError
from engine.health import HealthBoard

_PART = "blobs"
_SUPERVISION = Supervision()


@attrs.frozen
class BlobsBackend:
    """A blob store to work with, which may be away at any moment: see `state`."""

    store: BlobStore
    address: str
    _report: BackendReport = attrs.field(repr=False)

    @property
    def state(self) -> BackendState:
        return self._report.state.value

    async def wait_state_change(self, seen: BackendState) -> BackendState:
        """Return the state as soon as it differs from `seen`."""
        return await self._report.state.wait_change(seen)


@asynccontextmanager
async def open_blobs(
    config: BlobsConfig,
    paths: PathsConfig,
    health: HealthBoard,
    *,
    supervision: Supervision = _SUPERVISION,
) -> AsyncIterator[BlobsBackend]:
    """Provide the blob store: an Azure container if one is configured, else `paths.blobs`.

    Yields once it answers or is known not to; from then on its state is kept up to date on the
    health board (part `blobs`, not required), in `trellis_backend_up` and in the log.

    Args:
      supervision: how often to ask; nothing else of it counts.
    Raises:
      FailedPreconditionError: the folder cannot be used or another engine uses it, or the account's
        settings cannot be understood.
    """
    if config.connection_string is None and config.account_url is None:
        folder = make_private_folder(paths.blobs)
        async with hold_folder(folder):
            try:
                files = open_blob_files(folder)
            except OSError as error:
                raise FailedPreconditionError(
                    f"cannot clean up {error.filename}: {error.strerror}; set paths.blobs"
                ) from error
            driver = FolderDriver(files, config.timeout_s)
            report = BackendReport(_PART, health)
            run = partial(run_monitor, driver.probe, report, supervision.probe_interval_s)
            async with open_reported(report, run):
                yield BlobsBackend(BlobStore(driver), str(folder), report)
        return

    # Imported only when needed: the client takes a second and 19 MB.
    from engine.backends.blobs.azure_opening import open_azure  # noqa: PLC0415

    with open_azure(config) as azure:
        report = BackendReport(_PART, health)
        run = partial(run_monitor, azure.probe, report, supervision.probe_interval_s)
        async with open_reported(report, run):
            yield BlobsBackend(BlobStore(azure.driver), azure.address, report)
