"""Archives in an Azure container, as Azurite has it."""

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from engine.backends.blobs import BlobStore
from engine.backends.blobs.azure_opening import open_azure
from engine.errors import BackendUnavailableError
from tests.support.azurite import Azurite, blobs_config
from tests.support.retention_world import (
    DAY_US,
    NOW_US,
    RetentionWorld,
    all_events,
    make_events,
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Azurite]:
    folder = tmp_path / "azurite"
    folder.mkdir()
    azurite = Azurite(folder)
    try:
        yield azurite.start()
    finally:
        azurite.kill()


async def test_rows_move_to_a_container_once_it_can_be_reached(
    world: RetentionWorld, server: Azurite
) -> None:
    for day in range(3):
        times_us = [NOW_US - (9 - day) * DAY_US + place for place in range(50)]
        await world.write(make_events(times_us, first_offset=day * 50))
    before = await world.rows("events")
    table = all_events(3)
    config = blobs_config(server.connection_string(), container="archives", timeout_s=2.0)
    with open_azure(config) as azure:
        away = attrs.evolve(world, blobs=BlobStore(azure.driver))
        await azure.probe()
        server.kill()
        with pytest.raises(BackendUnavailableError):
            await away.retention(table).move_due(table)
        assert await away.rows("events") == before
        server.start()
        assert await away.retention(table).move_due(table) == 150
        assert (await away.rows("events")).total() == 0
        assert await away.archived("events") == before
        [archive] = await away.archives("events")
        assert await away.blob_names() == [archive["blob"]]
