from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.retention_world import RetentionWorld, open_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[RetentionWorld]:
    async with open_world(tmp_path / "data") as opened:
        yield opened
