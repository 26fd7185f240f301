"""A disk that fills up: an outcome of the file, not of the request, and everybody hears of it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

# A limit on the size of files stands in for a full disk: writes past it fail in the same place.
PROGRAM = """
import pathlib, resource, signal, sys
import pyarrow as pa
import trio
from engine.errors import DataFileFailedError, WriterClosedError
from engine.records import FEATURE_HISTORY_SCHEMA, Append, WriteRequest
from engine.store import StoreSettings, open_store

def request(first):
    n = 1_000
    columns = [range(first, first + n), ["f"] * n, ["x" * 100 + str(i) for i in range(n)], [0] * n]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, FEATURE_HISTORY_SCHEMA)]
    data = pa.record_batch(arrays, schema=FEATURE_HISTORY_SCHEMA)
    return WriteRequest((Append("feature_history", data),))

async def main():
    acknowledged, failed = [], []

    async def submit(writer, number):
        with trio.CancelScope(shield=True), trio.fail_after(20):
            try:
                await writer.submit(request(number * 1_000))
                acknowledged.append(number)
            except (DataFileFailedError, WriterClosedError) as error:
                failed.append(error)

    try:
        async with open_store(StoreSettings(path=pathlib.Path(sys.argv[1]))) as store:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, resource.RLIM_INFINITY))
            async with trio.open_nursery() as nursery:
                for number in range(100):
                    nursery.start_soon(submit, store.writer, number)
    except* DataFileFailedError as group:
        assert "free disk space" in str(group.exceptions), group.exceptions
    else:
        raise AssertionError("the full disk went unnoticed")
    assert len(acknowledged) + len(failed) == 100, (acknowledged, failed)
    assert failed
    print(len(acknowledged))

trio.run(main)
"""

COUNT = """
import sys, duckdb
with duckdb.connect(sys.argv[1]) as connection:
    print(connection.execute("SELECT count(*) FROM feature_history").fetchall()[0][0])
"""


def run(program: str, path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_full_disk_stops_the_writer_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "trellis.duckdb"
    acknowledged = int(run(PROGRAM, path))
    assert int(run(COUNT, path)) >= acknowledged * 1_000
