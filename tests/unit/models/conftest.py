from pathlib import Path

import pytest

from engine.store import StoreSettings


@pytest.fixture
def settings(tmp_path: Path) -> StoreSettings:
    return StoreSettings(path=tmp_path / "trellis.duckdb", reader_threads=1, threads=1)
