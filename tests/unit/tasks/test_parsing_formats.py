"""How it is told what a file is, and what its sender hears if it is nothing that is read."""

import bz2
import gzip
import io
import json
import lzma
import zipfile

import pytest

from engine.tasks.parsing import Format, RefusedFileError
from tests.support.parsed_file import parse

ROW = '{"user_id":1,"updated_at":"2025-05-01T10:00:00Z","plan":"größer"}'
CSV = "user_id,updated_at,plan\n1,2025-05-01T10:00:00Z,größer\n"
LINES = f"{ROW}\n{ROW}\n"


def zip_of(name: str, content: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(name, content)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("content", "content_type", "filename", "expected"),
    [
        (CSV, "text/csv", "", Format.CSV),
        (CSV, "Text/CSV; Charset=UTF-8", "x.json", Format.CSV),
        (CSV, "application/octet-stream", "X.CSV", Format.CSV),
        (CSV, "", "", Format.CSV),
        (CSV, "text/plain", "data", Format.CSV),
        (LINES, "application/x-ndjson", "", Format.NDJSON),
        (LINES, "", "a.jsonl", Format.NDJSON),
        (LINES, "application/json", "", Format.NDJSON),
        (LINES, "", "", Format.NDJSON),
        (ROW, "", "", Format.JSON),
        (ROW + "\n", "application/json", "a.csv", Format.JSON),
        (f"\n [{ROW}]", "", "", Format.JSON),
        (json.dumps(json.loads(ROW), indent=1), "", "a.json", Format.JSON),
    ],
)
def test_type_then_name_then_content_say_the_format(
    content: str, content_type: str, filename: str, expected: Format
) -> None:
    found = parse(content.encode(), content_type, filename=filename)
    assert found.format is expected
    assert found.fields[0] == {"plan": "größer"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    ("content", "content_type"),
    [(CSV, "text/csv"), (LINES, "application/x-ndjson"), (f"[{ROW}]", "application/json")],
)
def test_encodings_are_told_by_their_mark(content: str, content_type: str, encoding: str) -> None:
    mark = "\ufeff" if encoding.endswith("e") else ""
    found = parse((mark + content).encode(encoding), content_type)
    assert found.fields[0] == {"plan": "größer"}


def test_half_of_a_character_costs_its_row_only() -> None:
    text = "\ufeff" + LINES.replace("größer", "gro\ud800", 1)
    found = parse(text.encode("utf-16-le", "surrogatepass"), Format.NDJSON)
    assert len(found.rows) == 1
    assert found.problems == [(1, "", "invalid_utf8")]


@pytest.mark.parametrize(
    ("content", "content_type", "code", "what"),
    [
        (b"", "", "empty_file", "no bytes"),
        (gzip.compress(CSV.encode(), mtime=0), "text/csv", "compressed", "gzip"),
        (gzip.compress(bytes(10**7), mtime=0), "application/json", "compressed", "uncompressed"),
        (zip_of("a.csv", CSV.encode()), "", "compressed", "zip"),
        (b"\x28\xb5\x2f\xfd\x04\x00", "text/csv", "compressed", "zstd"),
        (bz2.compress(CSV.encode()), "text/csv", "compressed", "bzip2"),
        (lzma.compress(CSV.encode()), "text/csv", "compressed", "xz"),
        (b"PARE....", "", "unsupported_format", "encrypted"),
        (b"%PDF-1.7", "text/csv", "unsupported_format", "PDF"),
        (CSV.encode(), "text/csv; charset=windows-1252", "unsupported_encoding", "windows-1252"),
        (CSV.encode("utf-16-le"), "text/csv", "unsupported_encoding", "UTF-16"),
        (CSV.encode("utf-16-be"), "text/csv", "unsupported_encoding", "UTF-16"),
        (CSV.encode(), "text/csv; charset=utf-16", "unsupported_encoding", "UTF-16"),
        (CSV.encode("utf-32"), "text/csv", "unsupported_encoding", "UTF-32"),
        (CSV.encode("utf-16")[:-1], "text/csv", "unsupported_encoding", "ends within"),
    ],
)
def test_what_is_not_read_is_refused_with_what_to_send(
    content: bytes, content_type: str, code: str, what: str
) -> None:
    with pytest.raises(RefusedFileError) as refused:
        parse(content, content_type)
    assert refused.value.code == code
    assert what in str(refused.value)
