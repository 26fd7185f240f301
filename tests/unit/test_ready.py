"""The file by which the command line finds a running engine."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.errors import FailedPreconditionError
from engine.ready import ReadyInfo, remove_ready_file

INFO = ReadyInfo(1, {"metrics": "127.0.0.1:1"}, "127.0.0.1:2", "t", datetime.now(UTC))


def test_the_file_is_the_ready_line(tmp_path: Path) -> None:
    INFO.write(tmp_path)

    assert json.loads((tmp_path / "engine.json").read_text()) == json.loads(INFO.as_json())
    assert [path.name for path in tmp_path.iterdir()] == ["engine.json"]


@pytest.mark.parametrize("taken", ["engine.json", "engine.json.tmp"])
def test_a_file_that_cannot_be_written_is_a_clear_error(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).mkdir()

    with pytest.raises(
        FailedPreconditionError, match=r"cannot write .*engine\.json: Is a directory"
    ):
        INFO.write(tmp_path)


def test_a_file_that_cannot_be_removed_does_not_stop_the_stop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "engine.json").mkdir()

    with caplog.at_level(logging.WARNING):
        remove_ready_file(tmp_path)

    assert caplog.messages == ["ready file stays"]
    remove_ready_file(tmp_path / "elsewhere")
