from pathlib import Path

import pytest

from engine.control_token import FILE_NAME, make_control_token
from engine.errors import FailedPreconditionError


def test_every_start_has_a_token_of_its_own(tmp_path: Path) -> None:
    first = make_control_token(tmp_path, None)
    second = make_control_token(tmp_path, None)
    assert first != second
    assert len(second) >= 40
    assert (tmp_path / FILE_NAME).read_text().strip() == second


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    make_control_token(tmp_path, "configured")
    assert (tmp_path / FILE_NAME).read_text().strip() == "configured"
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_a_folder_that_takes_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FailedPreconditionError, match="control-token"):
        make_control_token(tmp_path / "absent", None)
