"""Files made to exhaust whoever reads them, generated as they are read.

`python -m tests.support.hostile_files NAME [PATH]` parses one as a worker does and prints, as JSON,
what became of it and how far the process's memory grew.
"""

import json
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from engine.tasks.parsing import RefusedFileError, Tally, open_upload
from tests.support.parsed_file import PROFILES, RULES

_CHUNK_BYTES = 1 << 20
_GOOD = b'{"user_id":1,"updated_at":0}'
_HEADER = b"user_id,updated_at,plan\n"


def _repeat(text: bytes, size_bytes: int, start: bytes = b"", end: bytes = b"") -> Iterator[bytes]:
    yield start
    chunk = text * (_CHUNK_BYTES // len(text))
    for _ in range(size_bytes // len(chunk)):
        yield chunk
    yield end


TEXTS: dict[str, tuple[str, Callable[[], Iterator[bytes]]]] = {
    "json-nested": ("a.json", lambda: _repeat(b"[", 50 << 20)),
    "json-nested-objects": ("a.json", lambda: _repeat(b'{"a":', 50 << 20)),
    "json-tiny-elements": ("a.json", lambda: _repeat(b"1,", 50 << 20, b"[", b"1]")),
    "json-tiny-elements-and-a-row": (
        "a.json",
        lambda: _repeat(b"1,", 1 << 20, b"[" + _GOOD + b",", b"1]"),
    ),
    "json-one-string": ("a.json", lambda: _repeat(b"x", 200 << 20, b'["', b'"]')),
    "json-blank": ("a.json", lambda: _repeat(b" ", 200 << 20, b"[", b"]")),
    "json-many-keys": ("a.json", lambda: _repeat(b'"a":1,', 50 << 20, b"{", b'"a":1}')),
    "ndjson-one-line": ("a.ndjson", lambda: _repeat(b"x", 200 << 20)),
    "ndjson-nested": ("a.ndjson", lambda: _repeat(b"[" * 1023 + b"\n", 20 << 20)),
    "ndjson-empty-objects": ("a.ndjson", lambda: _repeat(b"{}\n", 50 << 20)),
    "ndjson-blank-lines": ("a.ndjson", lambda: _repeat(b"\n", 4 << 20)),
    "ndjson-many-columns": (
        "a.ndjson",
        lambda: iter([b"{" + b",".join(b'"%d":1' % n for n in range(10**6)) + b"}\n" + _GOOD]),
    ),
    "csv-million-columns": ("a.csv", lambda: _repeat(b"abcdefg,", 8 << 20)),
    "csv-open-quote": ("a.csv", lambda: _repeat(b"1,1970-01-01,x\n", 20 << 20, _HEADER + b'"')),
    "csv-open-quotes": ("a.csv", lambda: _repeat(b'a","\n', 20 << 20, _HEADER)),
    "csv-commas": ("a.csv", lambda: _repeat(b"," * 1023 + b"\n", 20 << 20, _HEADER)),
    "csv-nothing-but-nul": ("a.csv", lambda: _repeat(b"\0", 50 << 20)),
}


def write_parquet(name: str, path: Path) -> None:
    """Write one of `PARQUET`."""
    PARQUET[name](path)


def _write_large_page(path: Path) -> None:
    table = pa.table({"user_id": [1], "updated_at": [0], "plan": ["x" * (700 << 20)]})
    pq.write_table(table, path, compression="zstd", use_dictionary=False, write_statistics=False)


def _write_many_rows(path: Path) -> None:
    count = 1_000_000
    table = pa.table({"user_id": pa.repeat(1, count), "updated_at": pa.repeat(0, count)})
    with pq.ParquetWriter(path, table.schema, compression="zstd") as writer:
        for _ in range(51):
            writer.write_table(table)


def _write_shared_text(path: Path) -> None:
    count = 1_000_000
    columns = {
        "user_id": pa.repeat(1, count),
        "updated_at": pa.repeat(0, count),
        "plan": pa.DictionaryArray.from_arrays(
            pa.repeat(pa.scalar(0, pa.int32()), count), ["x" * 60_000]
        ),
    }
    pq.write_table(pa.table(columns), path, compression="zstd")


PARQUET: dict[str, Callable[[Path], None]] = {
    "parquet-large-page": _write_large_page,
    "parquet-many-rows": _write_many_rows,
    "parquet-shared-text": _write_shared_text,
}


def _read_file(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(name: str, path: str | None) -> None:
    """Parse the file and print what became of it."""
    tally = Tally()
    outcome = "parsed"
    if path is None:
        filename, make = TEXTS[name]
        chunks, size_bytes = make(), 1 << 30
    else:
        filename, chunks, size_bytes = path, _read_file(Path(path)), Path(path).stat().st_size
    before = _peak_bytes()
    try:
        with (
            tempfile.TemporaryDirectory() as scratch,
            open_upload(
                chunks,
                dataset=PROFILES,
                rules=RULES,
                filename=filename,
                content_type="",
                scratch=Path(scratch),
            ) as upload,
        ):
            for batch in upload.batches:
                tally.add(batch, size_bytes)
            tally.check_any_is_good()
    except RefusedFileError as error:
        outcome = str(error.code)
    report = {"outcome": outcome, "growth_bytes": _peak_bytes() - before, **tally.summary()}
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)
