"""Laws of parsing: shortcuts change nothing, nor does how a file was cut, and no row gets lost."""

import csv
import datetime
import io
import json
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.tasks.parsing import Format, RefusedFileError
from engine.tasks.parsing.csv_records import read_records
from engine.tasks.parsing.limits import PIECE_BYTES
from engine.tasks.parsing.lines import read_lines
from engine.tasks.parsing.rows import BlankRowError, RowDecoder, RowProblemError
from engine.tasks.parsing.source import read_pieces
from engine.tasks.parsing.text_columns import read_text_column, read_text_column_one_by_one
from engine.tasks.parsing.times import read_text_times, read_times, read_times_one_by_one
from engine.tasks.parsing.unknown import UnknownColumns
from tests.support.parsed_file import PROFILES, RECEIVED, RULES, Parsed, parse

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
TIME = st.datetimes(datetime.datetime.fromisoformat("1970-01-01"), RECEIVED.replace(tzinfo=None))
ROW = st.fixed_dictionaries(
    {"user_id": INT64, "updated_at": TIME},
    optional={
        "age": INT64,
        "member": st.booleans(),
        "plan": TEXT,
        "score": st.floats(allow_nan=False, allow_infinity=False),
    },
)

JSON_TEXT = st.recursive(
    st.one_of(
        st.none(), st.booleans(), INT64, st.integers(), st.floats(), st.text(max_size=8), TEXT
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
).map(json.dumps)
NAME = st.sampled_from([*PROFILES.names, "extra", 'qu"ote', "ü"])
FIELD_TEXT = st.tuples(NAME.map(json.dumps), JSON_TEXT).map(":".join)
GOOD_FIELD = st.sampled_from(
    ['"user_id":7', '"updated_at":"2025-01-01T00:00:00Z"', '"age":5', '"plan":"x"', '"score":1']
)
OBJECT_TEXT = st.lists(FIELD_TEXT | GOOD_FIELD, max_size=7).map(lambda f: "{" + ",".join(f) + "}")
DAMAGE = st.sampled_from(["", "{", "}", "[", '"', "\\", ",", "\n", "\x00", "\ud800", "NaN", "é"])
LINE = st.one_of(
    OBJECT_TEXT,
    JSON_TEXT,
    st.tuples(OBJECT_TEXT, st.integers(0, 60), DAMAGE).map(lambda t: t[0][: t[1]] + t[2]),
    st.tuples(OBJECT_TEXT, DAMAGE, OBJECT_TEXT).map("".join),
).map(lambda text: text.encode(errors="surrogatepass"))


def outcome_of(content: bytes | list[bytes], format_: Format) -> Parsed | tuple[str, str]:
    try:
        return parse(content, format_)
    except RefusedFileError as error:
        return str(error.code), str(error)


# --- Shortcuts


def decoded(decode: Any, raw: bytes) -> object:
    try:
        row = decode(raw)
    except RowProblemError as error:
        return error.column, error.problem
    except BlankRowError:
        return None
    names = row.__struct_fields__[: 2 + len(PROFILES.columns)]
    return [(type(value), repr(value)) for value in (getattr(row, name) for name in names)]


@given(st.lists(LINE, max_size=5))
@example([b'{"user_id":1,"user_id":"x","user_id":2}', b'{"extra":1,"extra":[]}'])
@example([b'{"extra":1e999}', b'{"extra":1}', b'{"extra":1e999}'])
@settings(max_examples=400, deadline=None)
def test_a_row_the_struct_takes_is_the_one_the_careful_way_takes(lines: list[bytes]) -> None:
    fast = RowDecoder(PROFILES, UnknownColumns())
    careful = RowDecoder(PROFILES, UnknownColumns())
    for line in lines:
        assert decoded(fast.decode, line) == decoded(careful.decode_carefully, line)


TIME_TEXT = st.one_of(
    st.datetimes(timezones=st.none() | st.timezones()).map(str),
    st.datetimes().map(lambda t: t.isoformat() + "Z"),
    st.from_regex(
        r"[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9](:[0-6][0-9](\.[0-9]{1,9})?)?"
        r"(Z|[+-][0-9]{2}:?[0-9]{2})?",
        fullmatch=True,
    ),
    st.sampled_from(["2025-01-01", "20250101", "", " 2025-01-01T00:00:00Z", "1746093600"]),
)
TIME_VALUE = st.one_of(TIME_TEXT, st.integers(-(10**15), 10**15), st.integers(), st.none())


@given(st.lists(TIME_VALUE, max_size=4) | st.lists(TIME_TEXT, max_size=4))
@example(["2025-01-01T24:00:00Z"])
@example(["2025-01-01T23:59:60Z"])
@example(["0000-01-01T00:00:00Z"])
@example(["2025-01-01T00:00:00+14:59", "1970-01-01T00:00:00-00:00"])
@example(["1969-12-31T23:59:59.999999Z"])
@settings(max_examples=600, deadline=None)
def test_a_column_of_times_is_read_as_each_of_them_is(values: list[Any]) -> None:
    fast, careful = read_times(values, RULES), read_times_one_by_one(values, RULES)
    assert fast.microseconds.tolist() == careful.microseconds.tolist()
    assert fast.problems == careful.problems
    if all(value is None or isinstance(value, str) for value in values):
        texts = read_text_times(values, RULES)
        for position, value in enumerate(values):
            alone = read_text_times([value], RULES)
            assert texts.microseconds[position] == alone.microseconds[0]
            assert texts.problems.get(position) == alone.problems.get(0)


NUMBER_TEXT = st.one_of(
    st.from_regex(r"[+-]?[0-9]{0,25}(\.[0-9]{0,25})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    INT64.map(str),
    st.floats().map(str),
    st.sampled_from([" 7", "7\n", "٣", "1_0", "0x1", "true", "False", "-", "\udcff"]),
    TEXT,
)


@given(st.lists(st.none() | NUMBER_TEXT, max_size=4), st.sampled_from(["int64", "double", "bool"]))
@example(["-0"], "double")
@example(["00012345678901234567"], "int64")
@example(["9223372036854775807", None], "int64")
@settings(max_examples=600, deadline=None)
def test_a_column_of_texts_is_read_as_each_of_them_is(texts: list[str | None], type_: str) -> None:
    fast = read_text_column([text or None for text in texts], type_)
    careful = read_text_column_one_by_one([text or None for text in texts], type_)
    assert [(type(value), repr(value)) for value in fast.values] == [
        (type(value), repr(value)) for value in careful.values
    ]
    assert fast.problems == careful.problems


CSV_PART = st.sampled_from(['"', '""', ",", "\n", "\r\n", "\r", "a", "1", "\xe9", "\0", " "])


@given(st.lists(CSV_PART, max_size=30).map("".join), st.booleans())
@settings(max_examples=600, deadline=None)
def test_lines_without_quotes_are_split_as_the_csv_module_does(text: str, is_utf8: bool) -> None:
    raw = text.encode("utf-8" if is_utf8 else "latin-1")

    def records(careful_only: bool) -> list[Any]:
        blocks = read_records(read_lines([raw]), careful_only=careful_only)
        return [
            (number, fields, block.problems.get(at))
            for block in blocks
            for at, (number, fields) in enumerate(zip(block.numbers, block.records, strict=True))
        ]

    assert records(careful_only=False) == records(careful_only=True)


# --- Cuts


@given(st.data(), st.sampled_from([Format.NDJSON, Format.JSON, Format.CSV]))
@settings(max_examples=200, deadline=None)
def test_how_a_file_is_cut_makes_no_difference(data: st.DataObject, format_: Format) -> None:
    if format_ is Format.CSV:
        header = b"user_id,updated_at,plan\n"
        content = header + data.draw(st.lists(CSV_PART, max_size=30).map("".join)).encode()
    elif format_ is Format.JSON:
        content = b"[" + b",".join(data.draw(st.lists(LINE, max_size=5))) + b"]"
    else:
        content = b"\n".join(data.draw(st.lists(LINE, max_size=5)))
    if data.draw(st.booleans()):
        content = content.decode(errors="replace").encode("utf-16")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=5)))
    parts = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    assert outcome_of(parts, format_) == outcome_of(content, format_)
    single = [content[at : at + 1] for at in range(len(content))]
    assert outcome_of(single, format_) == outcome_of(content, format_)


@pytest.mark.parametrize("size", [1_000, PIECE_BYTES - 1, PIECE_BYTES, 3 * PIECE_BYTES + 1])
def test_pieces_have_one_size(size: int) -> None:
    content = bytes(range(256)) * 10_000
    pieces = list(read_pieces(content[at : at + size] for at in range(0, len(content), size)))
    assert b"".join(pieces) == content
    assert {len(piece) for piece in pieces[:-1]} <= {PIECE_BYTES}


def test_rows_across_the_borders_of_pieces_are_whole() -> None:
    lines = [
        json.dumps({"user_id": n, "updated_at": n, "plan": "ü€" * (n % 40)}, ensure_ascii=False)
        for n in range(40_000)
    ]
    expected = [(n, "ü€" * (n % 40)) for n in range(40_000)]
    table = "\n".join(
        ["user_id,updated_at,plan", *(f'{n},1746093600,"{text}"' for n, text in expected)]
    )
    for content, format_ in (
        ("\n".join(lines), Format.NDJSON),
        (f"[{','.join(lines)}]", Format.JSON),
        (table, Format.CSV),
    ):
        found = parse(content.encode(), format_)
        keys = [key for key, _, _ in found.rows]
        plans = [fields.get("plan", "") for fields in found.fields]
        assert list(zip(keys, plans, strict=True)) == expected


# --- Rows


GARBAGE = st.binary(max_size=40) | st.lists(st.sampled_from(range(64)), max_size=40).map(bytes)


@given(
    GARBAGE, st.sampled_from(Format), st.sampled_from([b"", b"user_id,updated_at\n", b"[", b"PAR1"])
)
@example(b"\x0b", Format.NDJSON, b"")
@example(b"\n\x0c\n", Format.NDJSON, b"")
@settings(max_examples=600, deadline=None)
def test_whatever_the_bytes_they_are_rows_or_it_is_told_why_not(
    garbage: bytes, format_: Format, start: bytes
) -> None:
    found = outcome_of(start + garbage, format_)
    if isinstance(found, Parsed):
        told = [reject.detail + reject.excerpt for reject in found.rejects]
    else:
        told = [found[1]]
    assert all(text and text.isascii() and text.isprintable() for text in told)


@given(st.lists(LINE.filter(lambda line: b"\n" not in line and bool(line.strip())), min_size=1))
@settings(max_examples=50, deadline=None)
def test_each_line_is_a_row_or_a_reject(lines: list[bytes]) -> None:
    found = parse(b"\n".join(lines), Format.NDJSON)
    rejected = {reject.row for reject in found.rejects}
    assert len(found.rows) + len(rejected) == len(lines)
    for number, line in enumerate(lines, 1):
        alone = parse(line, Format.NDJSON)
        assert bool(alone.rejects) == (number in rejected)


def expected_fields(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in sorted(row) if name not in ("user_id", "updated_at")}


def content_of(rows: list[dict[str, Any]], format_: Format) -> bytes:
    texts = [{**row, "updated_at": row["updated_at"].isoformat()} for row in rows]
    match format_:
        case Format.NDJSON:
            return b"\n".join(msgspec.json.encode(row) for row in texts)
        case Format.JSON:
            return json.dumps({"rows": texts}, indent=1).encode()
        case Format.CSV:
            sink = io.StringIO(newline="")
            writer = csv.DictWriter(sink, PROFILES.names)
            writer.writeheader()
            writer.writerows(texts)
            return sink.getvalue().encode()
        case Format.PARQUET:
            schema = pa.schema(
                {
                    "user_id": pa.int64(),
                    "updated_at": pa.timestamp("us"),
                    "age": pa.int64(),
                    "member": pa.bool_(),
                    "plan": pa.string(),
                    "score": pa.float64(),
                }
            )
            buffer = io.BytesIO()
            pq.write_table(pa.Table.from_pylist(rows, schema), buffer)
            return buffer.getvalue()


@given(st.lists(ROW, min_size=1, max_size=8), st.sampled_from(Format))
@settings(max_examples=300, deadline=None)
def test_good_rows_come_back_as_they_were(rows: list[dict[str, Any]], format_: Format) -> None:
    found = parse(content_of(rows, format_), format_)
    assert not found.rejects
    assert [(key, time) for key, time, _ in found.rows] == [
        (row["user_id"], row["updated_at"]) for row in rows
    ]
    for row, (_, _, text) in zip(rows, found.rows, strict=True):
        expected = expected_fields(row)
        if format_ is Format.CSV and expected.get("plan") == "":
            del expected["plan"]
        assert text == msgspec.json.encode(expected).decode()
