"""Files made to exhaust a worker: they end with a reason, in bounded memory and time."""

import json
import multiprocessing
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import hostile_files

ROOT = Path(__file__).resolve().parents[3]
MIB = 1 << 20
MAX_GROWTH_BYTES = 160 * MIB
"""Of a worker's memory, whatever the file. Pages of a Parquet file may take more, see there."""
TIMEOUT_S = 60.0


def parse_apart(name: str, path: Path | None = None) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.support.hostile_files", name]
    if path is not None:
        command.append(str(path))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr.decode()
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("json-nested", "malformed_json"),
        ("json-nested-objects", "malformed_json"),
        ("json-tiny-elements", "no_good_rows"),
        ("json-tiny-elements-and-a-row", "parsed"),
        ("json-one-string", "malformed_json"),
        ("json-blank", "parsed"),
        ("json-many-keys", "malformed_json"),
        ("ndjson-one-line", "no_good_rows"),
        ("ndjson-nested", "no_good_rows"),
        ("ndjson-empty-objects", "no_good_rows"),
        ("ndjson-blank-lines", "empty_file"),
        ("ndjson-many-columns", "parsed"),
        ("csv-million-columns", "malformed_csv"),
        ("csv-open-quote", "parsed"),
        ("csv-open-quotes", "malformed_csv"),
        ("csv-commas", "no_good_rows"),
        ("csv-nothing-but-nul", "malformed_csv"),
    ],
)
def test_a_hostile_text_ends_with_a_reason_in_bounded_memory(name: str, outcome: str) -> None:
    report = parse_apart(name)
    assert report["outcome"] == outcome
    assert report["growth_bytes"] < MAX_GROWTH_BYTES


@pytest.mark.parametrize(
    ("name", "largest_file_bytes", "max_growth_bytes"),
    [
        ("parquet-large-page", MIB, 600 * MIB),
        ("parquet-many-rows", MIB, MAX_GROWTH_BYTES),
        ("parquet-shared-text", MIB, MAX_GROWTH_BYTES),
    ],
)
def test_a_small_parquet_file_that_holds_much_is_refused(
    name: str, largest_file_bytes: int, max_growth_bytes: int, tmp_path: Path
) -> None:
    path = tmp_path / "bomb.parquet"
    # In a process of its own, whose memory is gone with it.
    writer = multiprocessing.get_context("spawn").Process(
        target=hostile_files.write_parquet, args=(name, path)
    )
    writer.start()
    writer.join(TIMEOUT_S)
    assert writer.exitcode == 0
    assert path.stat().st_size < largest_file_bytes
    report = parse_apart(name, path)
    assert report["outcome"] in ("too_many_rows", "too_large")
    assert report["growth_bytes"] < max_growth_bytes
