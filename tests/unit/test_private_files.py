"""Files that are their owner's alone, also where somebody has laid a trap."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import FailedPreconditionError
from engine.private_files import refuse_as_administrator, write_private


@pytest.fixture
def no_mask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_mask")
def test_others_cannot_read_it_whatever_the_mask(tmp_path: Path) -> None:
    write_private(tmp_path / "token", "text\n")

    assert (tmp_path / "token").read_text() == "text\n"
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("trap", ["token", "token.tmp"])
def test_a_link_in_its_place_is_not_followed(tmp_path: Path, trap: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    (tmp_path / trap).symlink_to(victim)

    write_private(tmp_path / "token", "text\n")

    assert victim.read_text() == "as it was"
    assert not (tmp_path / "token").is_symlink()
    assert (tmp_path / "token").read_text() == "text\n"


def test_a_file_that_others_may_read_is_replaced_by_one_that_they_may_not(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("old")
    (tmp_path / "token").chmod(0o644)
    reader = (tmp_path / "token").open()

    write_private(tmp_path / "token", "new")

    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    with reader:
        assert reader.read() == "old"


@pytest.mark.skipif(os.geteuid() != 0, reason="only the administrator can give a folder away")
@pytest.mark.parametrize(("owner", "name"), [(65534, "nobody"), (54321, "#54321")])
def test_administrator_is_kept_out_of_a_folder_of_somebody_else(
    tmp_path: Path, owner: int, name: str
) -> None:
    os.chown(tmp_path, owner, -1)
    with pytest.raises(FailedPreconditionError, match=f"sudo -u '{name}'"):
        refuse_as_administrator(tmp_path)


def test_own_folder_and_one_to_be_made_are_fine(tmp_path: Path) -> None:
    refuse_as_administrator(tmp_path)
    refuse_as_administrator(tmp_path / "absent")
