"""Parquet: types, damage, and files that are more than they seem."""

import datetime
import decimal
import io
import random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from engine.tasks.parsing import Dataset, Format, RefusedFileError, parquet_table
from engine.tasks.parsing.limits import BATCH_TEXT_BYTES, MAX_ROW_BYTES, MAX_STRING_CHARACTERS
from engine.tasks.parsing.unknown import UnknownColumns
from tests.support.parsed_file import PROFILES, RULES, Parsed, parse

TIME = datetime.datetime.fromisoformat("2025-05-01T10:00:00.123456")
TIMES = pa.array([TIME], pa.timestamp("us"))


def parquet_of(columns: dict[str, Any], **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, **options)
    return sink.getvalue()


def parse_columns(columns: dict[str, Any], **options: Any) -> Parsed:
    return parse(parquet_of(columns, **options))


def parse_column(name: str, values: pa.Array) -> Parsed:
    count = len(values)
    keys, times = pa.array(range(count), pa.int64()), pa.array([TIME] * count)
    return parse_columns({"user_id": keys, "updated_at": times, name: values})


def refusal_of(content: bytes) -> tuple[str, str]:
    with pytest.raises(RefusedFileError) as refused:
        parse(content, Format.PARQUET)
    assert str(refused.value).isprintable()
    assert str(refused.value).isascii()
    return str(refused.value.code), str(refused.value)


def test_rows_have_the_values_of_their_columns() -> None:
    count = 25_000
    found = parse_columns(
        {
            "score": pa.array(np.arange(count) / 4),
            "plan": pa.array(["free", None, "pro"] * (count // 3) + ["x"]),
            "user_id": pa.array(range(count), pa.int64()),
            "age": pa.array(range(count), pa.int16()),
            "member": pa.array([True, False] * (count // 2)),
            "updated_at": pa.array([TIME] * count, pa.timestamp("us")),
            "else": pa.array([[1]] * count),
        },
        row_group_size=7_000,
    )
    assert found.format is Format.PARQUET
    assert found.unknown == ("'else'",)
    assert not found.rejects
    assert [key for key, _, _ in found.rows] == list(range(count))
    assert {time for _, time, _ in found.rows} == {TIME}
    assert found.rows[0][2] == '{"age":0,"member":true,"plan":"free","score":0.0}'
    assert found.rows[1][2] == '{"age":1,"member":false,"score":0.25}'
    assert found.rows[24_999][2] == '{"age":24999,"member":false,"plan":"x","score":6249.75}'


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("age", pa.array([1, None], pa.int8()), [1, None]),
        ("age", pa.array([2**63 - 1], pa.uint64()), [2**63 - 1]),
        ("age", pa.array([5, 5, None]).dictionary_encode(), [5, 5, None]),
        ("age", pa.nulls(2), [None, None]),
        ("score", pa.array([1, 2], pa.int32()), [1.0, 2.0]),
        ("score", pa.array([0.5, None], pa.float32()), [0.5, None]),
        ("score", pa.array([1.5], pa.float16()), [1.5]),
        ("score", pa.array([decimal.Decimal("1.10"), None]), [1.1, None]),
        ("score", pa.array([2**53 + 1], pa.int64()), [float(2**53)]),
        ("plan", pa.array(["a", "b", "a", None]).dictionary_encode(), ["a", "b", "a", None]),
        ("plan", pa.array(["ü", ""], pa.large_string()), ["ü", ""]),
        ("plan", pa.array(["ü"], pa.string_view()), ["ü"]),
        ("member", pa.array([True, None]), [True, None]),
    ],
)
def test_stored_types_are_read_as_the_declared_one(
    name: str, values: pa.Array, expected: list[Any]
) -> None:
    found = parse_column(name, values)
    assert not found.rejects
    assert [fields.get(name) for fields in found.fields] == expected


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("age", pa.array([1.0])),
        ("age", pa.array(["1"])),
        ("age", pa.array([True])),
        ("age", pa.array([decimal.Decimal(1)])),
        ("score", pa.array(["1.5"])),
        ("score", pa.array([True])),
        ("plan", pa.array([b"x"])),
        ("plan", pa.array([1])),
        ("plan", pa.array([["x"]])),
        ("plan", pa.array([{"x": 1}])),
        ("member", pa.array([1])),
        ("member", pa.array(["true"])),
    ],
)
def test_a_type_that_cannot_be_the_declared_one_is_refused(name: str, values: pa.Array) -> None:
    keys = pa.array([1], pa.int64())
    code, message = refusal_of(parquet_of({"user_id": keys, "updated_at": TIMES, name: values}))
    assert code == "unsupported_type"
    assert f"column {name} " in message


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([1746093600], pa.timestamp("s")), "2025-05-01T10:00:00"),
        (pa.array([1746093600001], pa.timestamp("ms")), "2025-05-01T10:00:00.001"),
        (pa.array([1746093600000001], pa.timestamp("us")), "2025-05-01T10:00:00.000001"),
        (pa.array([1746093600000001999], pa.timestamp("ns")), "2025-05-01T10:00:00.000001"),
        (pa.array([1746093600], pa.timestamp("s", "Asia/Tokyo")), "2025-05-01T10:00:00"),
        (pa.array([datetime.date(2025, 5, 1)], pa.date32()), "2025-05-01T00:00:00"),
        (pa.array([datetime.date(2025, 5, 1)], pa.date64()), "2025-05-01T00:00:00"),
        (pa.array(["2025-05-01T12:00:00+02:00"]), "2025-05-01T10:00:00"),
        (pa.array([1746093600]), "2025-05-01T10:00:00"),
        (pa.array([1746093600000], pa.uint64()), "2025-05-01T10:00:00"),
        (pa.array([1746093600.5]), "2025-05-01T10:00:00.500000"),
    ],
)
def test_times_of_any_unit_become_microseconds_in_utc(values: pa.Array, expected: str) -> None:
    for is_int96 in (False, True):
        columns = {"user_id": pa.array([1]), "updated_at": values}
        found = parse(parquet_of(columns, use_deprecated_int96_timestamps=is_int96))
        assert [time for _, time, _ in found.rows] == [datetime.datetime.fromisoformat(expected)]


@pytest.mark.parametrize(
    ("name", "values", "reasons"),
    [
        ("age", pa.array([1, 2**63], pa.uint64()), ["value_range"]),
        ("score", pa.array([1, float("nan")]), ["not_a_number"]),
        ("score", pa.array([1, float("-inf"), None]), ["value_range"]),
        ("plan", pa.array(["a", "a\0b"]), ["string_nul"]),
        ("plan", pa.array(["a", "x" * (MAX_STRING_CHARACTERS + 1)]), ["string_too_long"]),
        ("plan", pa.array(["a", "x" * 5 * MAX_STRING_CHARACTERS]), ["string_too_long"]),
        (
            "plan",
            pa.StringArray.from_buffers(
                2, pa.py_buffer(np.array([0, 1, 3], np.int32)), pa.py_buffer(b"a\xff\xfe")
            ),
            ["invalid_utf8"],
        ),
        ("updated_at", pa.array([TIME, None]), ["timestamp_missing"]),
        ("updated_at", pa.array([0, -1], pa.timestamp("ns")), ["timestamp_too_old"]),
        ("updated_at", pa.array([0, 2**50], pa.timestamp("s")), ["timestamp_in_future"]),
        ("updated_at", pa.array([0, -(2**62)], pa.timestamp("ms")), ["timestamp_too_old"]),
        ("updated_at", pa.array([0, 2**31 - 1], pa.date32()), ["timestamp_in_future"]),
        ("updated_at", pa.array([0.0, float("nan"), 1e300]), ["timestamp_unit"] * 2),
        ("updated_at", pa.array(["2025-01-01", "later"]), ["timestamp_format"]),
        ("user_id", pa.array([1, None]), ["key_missing"]),
        ("user_id", pa.array([1, 2**63], pa.uint64()), ["value_range"]),
    ],
)
def test_bad_rows_are_rejected_by_their_place(
    name: str, values: pa.Array, reasons: list[str]
) -> None:
    count = len(values)
    columns = {"user_id": pa.array(range(count)), "updated_at": pa.array([TIME] * count)}
    found = parse_columns({**columns, name: values})
    assert len(found.rows) == count - len(reasons)
    assert found.problems == [(row, name, reason) for row, reason in enumerate(reasons, 2)]
    for reject in found.rejects:
        assert reject.excerpt.isascii()
        assert reject.excerpt.isprintable()
        assert len(reject.excerpt) < 100


@pytest.mark.parametrize("cut", [0.02, 0.3, 0.7, 0.99])
def test_a_truncated_file_is_refused(cut: float) -> None:
    content = parquet_of({"user_id": pa.array(range(5_000)), "updated_at": [TIME] * 5_000})
    code, _ = refusal_of(content[: int(len(content) * cut)])
    assert code == "malformed_parquet"


@pytest.mark.parametrize(
    "content",
    [
        b"PAR1",
        b"PAR1" + bytes(100) + b"PAR1",
        b"PAR1" + b"\xff" * 100 + b"\x10\0\0\0PAR1",
        b"user_id,updated_at\n",
    ],
)
def test_what_is_no_parquet_is_refused(content: bytes) -> None:
    assert refusal_of(content)[0] == "malformed_parquet"


def test_missing_and_repeated_columns_are_refused() -> None:
    assert refusal_of(parquet_of({"updated_at": TIMES}))[0] == "missing_column"
    names = ["user_id", "updated_at", "plan", "plan"]
    table = pa.table([pa.array([1]), TIMES, pa.array(["a"]), pa.array(["b"])], names=names)
    sink = io.BytesIO()
    pq.write_table(table, sink)
    assert refusal_of(sink.getvalue())[0] == "duplicate_column"


def test_a_file_without_rows_is_a_file_without_rows() -> None:
    found = parse_columns({"user_id": pa.array([], pa.int64()), "updated_at": TIMES[:0]})
    assert not found.rows
    assert not found.rejects


def test_rows_that_share_a_large_text_are_passed_on_in_small_batches() -> None:
    text = "x" * MAX_STRING_CHARACTERS
    count = 500
    columns = {
        "user_id": pa.array(range(count)),
        "updated_at": pa.array([TIME] * count),
        "plan": pa.DictionaryArray.from_arrays(pa.array([0] * count), [text]),
    }
    content = parquet_of(columns)
    assert len(content) < 200_000
    file = io.BytesIO(content)
    batches = list(parquet_table.read_parquet(file, PROFILES, RULES, UnknownColumns()))
    assert sum(batch.rows.num_rows for batch in batches) == count
    assert max(batch.rows.nbytes for batch in batches) < 1.1 * BATCH_TEXT_BYTES


def test_a_row_of_many_large_texts_is_rejected() -> None:
    names = [f"c{n:02}" for n in range(80)]
    dataset = Dataset("texts", "user_id", "updated_at", tuple((name, "string") for name in names))
    large, small = "x" * MAX_STRING_CHARACTERS, "y"
    some = MAX_ROW_BYTES // MAX_STRING_CHARACTERS + 1
    rows = [[large] * 80, [small] * 80, [large] * some + [small] * (80 - some), [small] * 80]
    columns: dict[str, Any] = {"user_id": pa.array(range(4)), "updated_at": [TIME] * 4}
    columns.update({name: [row[n] for row in rows] for n, name in enumerate(names)})
    found = parse(parquet_of(columns), dataset=dataset)
    assert [key for key, _, _ in found.rows] == [1, 3]
    assert found.problems == [(1, "", "row_too_large"), (3, "", "row_too_large")]


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_a_damaged_file_is_refused_or_read(compression: str) -> None:
    count = 300
    columns = {
        "user_id": pa.array(range(count)),
        "updated_at": [TIME] * count,
        "plan": ["a", None, "pro"] * (count // 3),
        "score": [0.5] * count,
    }
    sound = parquet_of(columns, compression=compression)
    chance = random.Random(4)
    refused = 0
    for _ in range(200):
        damaged = bytearray(sound)
        for _ in range(chance.randrange(1, 4)):
            damaged[chance.randrange(4, len(sound) - 8)] = chance.randrange(256)
        try:
            parse(bytes(damaged), Format.PARQUET)
        except RefusedFileError:
            refused += 1
    assert refused > 50
