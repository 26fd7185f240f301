"""A data folder that others may write to is refused."""

from pathlib import Path

import pytest

from engine.config import ConfigError, load_config

ROOT = Path(__file__).resolve().parents[3]


def test_a_data_folder_that_all_may_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o1777)
    with pytest.raises(ConfigError, match="every user may write to"):
        load_config(ROOT / "configs", folder, (), {})


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o2775])
def test_others_are_not(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(mode)
    assert load_config(ROOT / "configs", folder, (), {}).paths.data == folder
    assert load_config(ROOT / "configs", tmp_path / "absent", (), {})
