"""A data file and a blob store, on whatever driver, and reads of both."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import attrs
import pytest

from engine.backends.blobs import BlobStore
from engine.backends.blobs.azure_opening import open_azure
from engine.backends.blobs.files import open_blob_files
from engine.backends.blobs.local_folder import FolderDriver
from engine.history import HistoryReads
from engine.store import Store, StoreSettings, open_store
from tests.support.azurite import Azurite, blobs_config


@attrs.frozen
class HistoryWorld:
    """What a read of history is made of."""

    store: Store
    blobs: BlobStore
    folder: Path

    def reads(self, most_reads: int = 4) -> HistoryReads:
        return HistoryReads(
            self.store.reader,
            self.blobs,
            self.folder,
            lambda: self.store.writer.commit_seq,
            most_reads=most_reads,
        )


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    with tempfile.TemporaryDirectory(prefix="azurite-") as folder:
        server = Azurite(Path(folder), in_memory=True)
        try:
            yield server.start()
        finally:
            server.kill()


@pytest.fixture
def folder_blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(FolderDriver(open_blob_files(tmp_path / "blobs"), 10.0))


@pytest.fixture
async def world(tmp_path: Path, folder_blobs: BlobStore) -> AsyncIterator[HistoryWorld]:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    async with open_store(StoreSettings(path=tmp_path / "trellis.duckdb")) as store:
        yield HistoryWorld(store, folder_blobs, scratch)
    assert not [*scratch.iterdir()]


@pytest.fixture
async def azure_world(tmp_path: Path, azurite: Azurite) -> AsyncIterator[HistoryWorld]:
    config = blobs_config(azurite.connection_string(), container="history", timeout_s=10.0)
    with open_azure(config) as azure:
        async with open_store(StoreSettings(path=tmp_path / "trellis.duckdb")) as store:
            yield HistoryWorld(store, BlobStore(azure.driver), tmp_path)
