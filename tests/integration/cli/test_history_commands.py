"""`history` as its users run it, against a real engine with archives of its own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import pyarrow.parquet as pq
import pytest
import trio

from engine.backends.blobs import BlobStore
from engine.backends.blobs.files import open_blob_files
from engine.backends.blobs.local_folder import FolderDriver
from engine.store import StoreSettings, open_store
from tests.support.archived_rows import (
    DAY_US,
    EVENTS,
    PREDICTIONS,
    START_US,
    append,
    make_events,
    make_predictions,
    move,
    read_table,
    spread,
)
from tests.support.engine_process import ROOT, EngineProcess

FEATURES = """
entities: {user: {key: user_id, type: int64}}
features:
  clicks_5m: {from: events, where: {action: click}, aggregate: count, window: 5m}
"""
"""None without a window: all events before the bounds have moved."""

FIRST_DAY = "2023-11-14T22:13:20"


@attrs.frozen
class Outcome:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.splitlines()]


@attrs.frozen
class Desk:
    """A terminal beside an engine, and what it had before anything was moved."""

    engine: EngineProcess
    events: list[dict[str, object]]
    predictions: list[dict[str, object]]
    blobs: list[str]

    def run(self, *arguments: str) -> Outcome:
        done = subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=60,
            check=False,
            env={**os.environ, "TRELLIS_DEBUG": ""},
        )
        assert "Traceback" not in done.stderr
        return Outcome(done.returncode, done.stdout, done.stderr)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "main.py", "--data", str(self.engine.data_dir), *arguments]

    def path_of(self, blob: str) -> Path:
        return self.engine.data_dir / "blobs/objects" / blob.replace("/", "+")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("history")
    config_dir = shutil.copytree(ROOT / "configs", folder / "configs")
    (config_dir / "features.yaml").write_text(FEATURES)
    (config_dir / "models.yaml").write_text("models: {}\n")
    data = folder / "data"
    data.mkdir(mode=0o700)
    events, predictions, blobs = trio.run(_prepare, data)
    settings = ["workers.max_python_workers=2"]
    with EngineProcess(data, config_dir=config_dir, settings=settings) as engine:
        yield Desk(engine, events, predictions, blobs)
        assert engine.stop() == 0
    assert "Traceback" not in engine.log_path.read_text()


async def _prepare(data: Path):
    blobs = BlobStore(FolderDriver(open_blob_files(data / "blobs"), 10.0))
    async with open_store(StoreSettings(path=data / "trellis.duckdb")) as store:
        await append(store, EVENTS, make_events(spread(20_000)))
        await append(store, PREDICTIONS, make_predictions(spread(1_000)))
        before = [await read_table(store, table) for table in (EVENTS, PREDICTIONS)]
        moved = [
            await move(store, blobs, table, START_US + day * DAY_US, planned_us=START_US + day)
            for table in (EVENTS, PREDICTIONS)
            for day in (2, 5)
        ]
    return (*before, moved)


def test_rows_are_shown_as_a_table_and_whether_there_are_more(desk: Desk) -> None:
    shown = desk.run("history", "events", "--user", "3", "--limit", "4")
    assert shown.code == 0, shown.err
    head, *rows = shown.out.splitlines()
    assert head.split() == ["event", "time", "user", "action", "value", "properties", "commit"]
    expected = [row for row in desk.events if row["user_id"] == 3][:4]
    assert [row.split()[0] for row in rows] == [_time(row["event_time"]) for row in expected]
    assert {row.split()[1] for row in rows} == {"3"}
    assert "more than these 4" in shown.err

    made = desk.run("history", "predictions", "--until", "2023-11-15", "--limit", "2")
    assert made.code == 0, made.err
    assert re.search(r"^predicted at +entity +model +version +prediction", made.out)
    assert len(made.out.splitlines()) == 3

    none = desk.run("history", "events", "--user", "-3")
    assert (none.code, none.out, none.err) == (0, "no rows\n", "")


def test_all_rows_come_as_json_a_line_each_in_order(desk: Desk) -> None:
    events = desk.run("history", "events", "--json")
    assert events.code == 0, events.err
    assert len(events.lines) == 20_000
    for told, row in zip(events.lines[::97], desk.events[::97], strict=True):
        assert told["event_time"] == _time(row["event_time"])
        assert told["ingest_time"] == _time(row["ingest_time"])
        properties = row["properties"]
        assert told["properties"] == (None if properties is None else json.loads(str(properties)))
        same = {"user_id", "action", "value", "topic", "partition", "offset", "commit_seq"}
        assert {name: told[name] for name in same} == {name: row[name] for name in same}

    made = desk.run("history", "predictions", "--entity", "7", "--json", "--limit", "700")
    assert [one["prediction_id"] for one in made.lines] == [
        row["prediction_id"] for row in desk.predictions[:700]
    ]
    assert made.lines[0].keys() == desk.predictions[0].keys()


def test_a_parquet_file_has_the_columns_of_the_table_and_appears_whole(
    desk: Desk, tmp_path: Path
) -> None:
    for table, rows in (("events", desk.events), ("predictions", desk.predictions)):
        file = tmp_path / f"{table}.parquet"
        file.write_text("of an earlier day")
        done = desk.run("history", table, "--parquet", str(file))
        assert done.code == 0, done.err
        assert done.out == f"{file}: {len(rows):,} rows\n"
        assert pq.read_table(file).to_pylist() == rows
        assert file.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "events.parquet",
        "predictions.parquet",
    ]


def test_times_are_a_part_of_it_whichever_way_they_are_written(desk: Desk) -> None:
    wanted = desk.run(
        "history", "events", "--json", "--from", f"{FIRST_DAY}+00:00", "--until", "2023-11-16"
    )
    also = desk.run(
        "history", "events", "--json", "--from", FIRST_DAY, "--until", "2023-11-16T01:00+01:00"
    )
    assert wanted.lines == also.lines
    count = sum(str(row["event_time"]) < "2023-11-16" for row in desk.events)
    assert len(wanted.lines) == count
    assert 2_000 < count < 4_000


def test_archives_are_listed_the_latest_first(desk: Desk) -> None:
    shown = desk.run("history", "archives")
    assert shown.code == 0, shown.err
    assert [line.split()[-1] for line in shown.out.splitlines()[1:]] == [
        desk.blobs[place] for place in (3, 1, 2, 0)
    ]
    told = json.loads(desk.run("history", "archives", "--json", "--limit", "3").out)
    assert [one["blob"] for one in told] == [desk.blobs[place] for place in (3, 1, 2)]
    assert told[0]["state"] == "stored"
    assert told[0]["rows"] + told[2]["rows"] < 1_000
    assert told[0]["kept"] == []


def test_a_time_that_ends_before_it_begins_is_the_engines_to_refuse(desk: Desk) -> None:
    done = desk.run("history", "events", "--from", "2023-11-16", "--until", "2023-11-15")
    assert (done.code, done.out) == (1, "")
    assert done.err == "error: until_time: is not after from_time\n"


def test_a_lost_archive_fails_the_command_and_leaves_no_file(desk: Desk, tmp_path: Path) -> None:
    path = desk.path_of(desk.blobs[1])
    path.rename(tmp_path / "kept")
    file = tmp_path / "rows.parquet"
    file.write_text("of an earlier day")
    try:
        done = desk.run("history", "events", "--parquet", str(file))
        lines = desk.run("history", "events", "--json")
    finally:
        (tmp_path / "kept").rename(path)
    for failed in (done, lines):
        assert failed.code == 1
        assert failed.err.startswith(f"error: the archive {desk.blobs[1]} of events is missing")
    assert 0 < len(lines.lines) < 20_000
    assert file.read_text() == "of an earlier day"
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_a_file_that_cannot_be_written_is_named(desk: Desk, tmp_path: Path) -> None:
    done = desk.run("history", "events", "--parquet", str(tmp_path / "nowhere/rows.parquet"))
    assert done.code == 1
    assert done.err.endswith("nowhere/rows.parquet cannot be written: No such file or directory\n")


def test_a_command_that_is_left_frees_its_place_in_the_engine(desk: Desk) -> None:
    """More of them than may read at once, each left after its first line."""
    for _ in range(5):
        with subprocess.Popen(
            desk.command("history", "events", "--json"), stdout=subprocess.PIPE, cwd=ROOT
        ) as reading:
            assert reading.stdout is not None
            assert reading.stdout.readline()
            reading.send_signal(signal.SIGKILL)
    done = desk.run("history", "events", "--json", "--limit", "1")
    assert done.code == 0, done.err
    descriptors = Path(f"/proc/{desk.engine.pid}/fd")
    folder = str(desk.engine.data_dir)
    left = threading.Event()
    for _ in range(100):
        held = [str(path.readlink()) for path in descriptors.iterdir() if path.is_symlink()]
        unnamed = [name for name in held if name.startswith(folder) and "(deleted)" in name]
        if not unnamed:
            break
        left.wait(0.05)  # until the engine has seen the last of them go
    else:
        pytest.fail(f"the engine still holds {unnamed}")


def _time(moment) -> str:
    return f"{moment.isoformat(timespec='microseconds')}Z"
