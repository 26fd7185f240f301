"""Both kinds of store, each new for every test."""

import itertools
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.backends.blobs import BlobStore
from engine.backends.blobs.azure_opening import open_azure
from engine.backends.blobs.files import open_blob_files
from engine.backends.blobs.local_folder import FolderDriver
from tests.support.azurite import Azurite, blobs_config

KINDS = ("folder", "azure")
PAGE_BLOBS = 3
TIMEOUT_S = 10.0

_containers = itertools.count()


@pytest.fixture(scope="session")
def azurite():
    """One server for all tests that leave it alive."""
    folder = Path(tempfile.mkdtemp(prefix="azurite-"))
    server = Azurite(folder, in_memory=True)
    try:
        yield server.start()
    finally:
        server.kill()
        shutil.rmtree(folder)


@pytest.fixture
def new_container():
    """Names of containers that no other test uses."""
    return lambda: f"test-{next(_containers)}"


@pytest.fixture
def open_driver(request, tmp_path_factory, new_container):
    """Open a new, empty store of a kind."""

    @contextmanager
    def open_it(kind):
        if kind == "folder":
            folder = tmp_path_factory.mktemp("blobs")
            yield FolderDriver(open_blob_files(folder), TIMEOUT_S)
            assert not [*folder.joinpath("incoming").iterdir()]
            return
        server = request.getfixturevalue("azurite")
        config = blobs_config(
            server.connection_string(), container=new_container(), timeout_s=TIMEOUT_S
        )
        with open_azure(config) as azure:
            yield azure.driver

    return open_it


@pytest.fixture(params=KINDS)
def driver(request, open_driver):
    with open_driver(request.param) as opened:
        yield opened


@pytest.fixture
def store(driver):
    return BlobStore(driver, page_blobs=PAGE_BLOBS)
