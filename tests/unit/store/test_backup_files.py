"""The files of a backup: whole, or not there."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.errors import AlreadyExistsError, DataLossError, FailedPreconditionError
from engine.store.backup_files import (
    MANIFEST,
    Draft,
    Manifest,
    copy_checked,
    make_backup_folder,
    read_manifest,
)


def ignore(_: int) -> None:
    """Be told of progress."""


def fill(draft: Draft, source: Path, size_bytes: int) -> Manifest:
    files = (draft.copy(source, "some/file", size_bytes, ignore),)
    return draft.finish(datetime.now(UTC), 7, files, {"events": 1})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"0123456789" * 5_000_000)  # several pieces
    return path


@pytest.fixture
def backup(tmp_path: Path, source: Path) -> Path:
    with make_backup_folder(tmp_path / "backup") as draft:
        fill(draft, source, source.stat().st_size)
    return tmp_path / "backup"


def test_copy_is_of_the_length_that_was_asked_for(tmp_path: Path, source: Path) -> None:
    with make_backup_folder(tmp_path / "backup") as draft:
        written = fill(draft, source, 12_345)
    assert read_manifest(tmp_path / "backup") == written
    assert (tmp_path / "backup/some/file").read_bytes() == source.read_bytes()[:12_345]


def test_nothing_is_left_of_a_backup_that_failed(tmp_path: Path, source: Path) -> None:
    before = set(tmp_path.iterdir())
    with (
        pytest.raises(DataLossError, match="too soon"),
        make_backup_folder(tmp_path / "backup") as draft,
    ):
        fill(draft, source, source.stat().st_size + 1)
    assert set(tmp_path.iterdir()) == before


def test_backup_is_not_there_before_it_is_whole(tmp_path: Path, source: Path) -> None:
    with make_backup_folder(tmp_path / "backup") as draft:
        fill(draft, source, 10)
        assert not (tmp_path / "backup").exists()
    assert (tmp_path / "backup" / MANIFEST).is_file()


def test_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/one").touch()
    (tmp_path / "file").touch()
    for name in ("full", "file"):
        with pytest.raises(AlreadyExistsError), make_backup_folder(tmp_path / name):
            pytest.fail("was begun")
    with pytest.raises(FailedPreconditionError), make_backup_folder(tmp_path / "no/folder"):
        pytest.fail("was begun")


def test_empty_folder_is_taken(tmp_path: Path, source: Path) -> None:
    (tmp_path / "empty").mkdir()
    with make_backup_folder(tmp_path / "empty") as draft:
        fill(draft, source, 10)
    assert read_manifest(tmp_path / "empty").commit_seq == 7


@pytest.mark.parametrize("harm", ["flipped", "shorter", "longer", "missing"])
def test_harmed_file_is_found(tmp_path: Path, backup: Path, harm: str) -> None:
    file = backup / "some/file"
    content = bytearray(file.read_bytes())
    match harm:
        case "flipped":
            content[len(content) // 2] ^= 1
        case "shorter":
            content.pop()
        case "longer":
            content.append(0)
    file.unlink() if harm == "missing" else file.write_bytes(content)
    with pytest.raises(DataLossError, match="some/file"):
        copy_checked(backup, read_manifest(backup), tmp_path / "copy", ignore)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"some/file"', b'"../some/file"'),
        (b'"some/file"', b'"/some/file"'),
        (b'"format": 1', b'"format": 2'),
        (b"{", b"["),
    ],
)
def test_manifest_that_cannot_be_meant_is_refused(backup: Path, old: bytes, new: bytes) -> None:
    manifest = backup / MANIFEST
    manifest.write_bytes(manifest.read_bytes().replace(old, new, 1))
    with pytest.raises(DataLossError):
        read_manifest(backup)


def test_manifest_of_another_format_is_told_from_a_damaged_one(backup: Path) -> None:
    (backup / MANIFEST).write_text('{"format": 2, "created_by": "1.0", "pieces": []}')
    with pytest.raises(DataLossError, match="has format 2, this program reads 1"):
        read_manifest(backup)


def test_folder_without_a_manifest_is_no_backup(backup: Path) -> None:
    (backup / MANIFEST).unlink()
    with pytest.raises(DataLossError, match="no whole backup"):
        read_manifest(backup)
