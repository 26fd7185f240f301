"""NDJSON: what is a row, what is none, and why."""

import datetime

import pytest

from engine.intake.malformed import MAX_DEPTH
from engine.tasks.parsing import Dataset, Format, RefusedFileError
from engine.tasks.parsing.limits import (
    MAX_NAMED_COLUMNS,
    MAX_ROW_BYTES,
    MAX_STRING_CHARACTERS,
)
from tests.support.parsed_file import Parsed, parse

TIME = '"updated_at":"2025-05-01T10:00:00Z"'
GOOD = f'{{"user_id":1,{TIME},"plan":"free"}}'


def parse_lines(*lines: str | bytes) -> Parsed:
    raw = [line.encode() if isinstance(line, str) else line for line in lines]
    return parse(b"\n".join(raw) + b"\n", Format.NDJSON)


def test_a_row_has_its_columns_in_canonical_text() -> None:
    line = (
        '{"score": 5, "plan": "Gr\\u00fcn", "user_id": 9007199254740993,'
        ' "updated_at": "2025-05-01T12:00:00.123456789+02:00", "member": true, "age": -3}'
    )
    assert parse_lines(line).rows == [
        (
            9007199254740993,
            datetime.datetime.fromisoformat("2025-05-01T10:00:00.123456"),
            '{"age":-3,"member":true,"plan":"Grün","score":5.0}',
        )
    ]


def test_null_and_absent_columns_are_the_same() -> None:
    found = parse_lines(GOOD, f'{{"user_id":1,{TIME},"plan":"free","age":null,"score":null}}')
    assert [text for _, _, text in found.rows] == ['{"plan":"free"}'] * 2


def test_a_row_without_any_column_is_kept() -> None:
    assert parse_lines(f'{{"user_id":1,{TIME}}}').rows[0][2] == "{}"


def test_of_a_field_given_twice_the_last_counts() -> None:
    found = parse_lines(
        f'{{"user_id":1,"user_id":2,{TIME},"age":1,"age":2}}',
        f'{{"user_id":"x","user_id":3,{TIME},"age":"x","age":4}}',
        f'{{"user_id":4,{TIME},"age":5,"age":"x"}}',
    )
    assert [(key, text) for key, _, text in found.rows] == [(2, '{"age":2}'), (3, '{"age":4}')]
    assert found.problems == [(3, "age", "value_type")]


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        ("nonsense", "", "invalid_json"),
        ("\x0b", "", "invalid_json"),
        (" \x0c\x0c\r", "", "invalid_json"),
        ('{"user_id":1', "", "invalid_json"),
        (GOOD + GOOD, "", "invalid_json"),
        (GOOD + " " + GOOD, "", "invalid_json"),
        (GOOD + ",", "", "invalid_json"),
        ("[1]", "", "not_an_object"),
        ("7", "", "not_an_object"),
        ("null", "", "not_an_object"),
        ("\ufeff" + GOOD, "", "byte_order_mark"),
        (b'{"plan":"\xff"}', "", "invalid_utf8"),
        (b'{"plan":"\xed\xa0\x80"}', "", "invalid_utf8"),
        (b'{"caf\xe9":1}', "", "invalid_utf8"),
        ('{"plan":"\\ud800"}', "", "invalid_unicode"),
        ('{"plan":"a\tb"}', "", "invalid_json"),
        ('{"score":NaN}', "", "not_a_number"),
        ('{"score":-Infinity}', "", "not_a_number"),
        ('{"score":1e999}', "", "number_range"),
        ('{"new":1e999}', "", "number_range"),
        (f'{{"age":{"9" * 5000}}}', "", "number_range"),
        (f'{{"user_id":1,{TIME},"deep":{"[" * 100_000}', "", "too_deep"),
        (f'{{"user_id":1,{TIME},"deep":{"[" * MAX_DEPTH}{"]" * MAX_DEPTH}}}', "", "too_deep"),
        (f"{{{TIME}}}", "user_id", "key_missing"),
        (f'{{"user_id":null,{TIME}}}', "user_id", "key_missing"),
        (f'{{"user_id":"1",{TIME}}}', "user_id", "value_type"),
        (f'{{"user_id":1.0,{TIME}}}', "user_id", "value_type"),
        (f'{{"user_id":true,{TIME}}}', "user_id", "value_type"),
        (f'{{"user_id":{2**63},{TIME}}}', "user_id", "value_range"),
        (f'{{"user_id":{-(2**63) - 1},{TIME}}}', "user_id", "value_range"),
        (f'{{"user_id":1,{TIME},"age":{2**200}}}', "age", "value_range"),
        (f'{{"user_id":1,{TIME},"age":true}}', "age", "value_type"),
        (f'{{"user_id":1,{TIME},"age":1e2}}', "age", "value_type"),
        (f'{{"user_id":1,{TIME},"age":[1]}}', "age", "value_type"),
        (f'{{"user_id":1,{TIME},"score":false}}', "score", "value_type"),
        (f'{{"user_id":1,{TIME},"score":"1.5"}}', "score", "value_type"),
        (f'{{"user_id":1,{TIME},"score":{"9" * 400}}}', "score", "value_range"),
        (f'{{"user_id":1,{TIME},"member":1}}', "member", "value_type"),
        (f'{{"user_id":1,{TIME},"member":"true"}}', "member", "value_type"),
        (f'{{"user_id":1,{TIME},"plan":5}}', "plan", "value_type"),
        (f'{{"user_id":1,{TIME},"plan":"a\\u0000b"}}', "plan", "string_nul"),
        (
            f'{{"user_id":1,{TIME},"plan":"{"x" * (MAX_STRING_CHARACTERS + 1)}"}}',
            "plan",
            "string_too_long",
        ),
        ('{"user_id":1}', "updated_at", "timestamp_missing"),
        ('{"user_id":1,"updated_at":null}', "updated_at", "timestamp_missing"),
        ('{"user_id":1,"updated_at":true}', "updated_at", "timestamp_type"),
        ('{"user_id":1,"updated_at":[2025]}', "updated_at", "timestamp_type"),
        ('{"user_id":1,"updated_at":""}', "updated_at", "timestamp_format"),
        ('{"user_id":1,"updated_at":"yesterday"}', "updated_at", "timestamp_format"),
        ('{"user_id":1,"updated_at":"2025-02-30T00:00:00Z"}', "updated_at", "timestamp_format"),
        ('{"user_id":1,"updated_at":1e18}', "updated_at", "timestamp_unit"),
        ('{"user_id":1,"updated_at":1748772000000000}', "updated_at", "timestamp_unit"),
        ('{"user_id":1,"updated_at":"1969-12-31T23:59:59Z"}', "updated_at", "timestamp_too_old"),
        ('{"user_id":1,"updated_at":"0001-01-01T00:00:00Z"}', "updated_at", "timestamp_too_old"),
        ('{"user_id":1,"updated_at":"2025-06-01T12:05:01Z"}', "updated_at", "timestamp_in_future"),
        ('{"user_id":1,"updated_at":"9999-12-31T23:59:59Z"}', "updated_at", "timestamp_in_future"),
    ],
)
def test_a_bad_row_is_rejected_with_its_reason_and_its_neighbours_are_kept(
    line: str | bytes, column: str, reason: str
) -> None:
    found = parse_lines(GOOD, line, GOOD)
    assert [key for key, _, _ in found.rows] == [1, 1]
    assert found.problems == [(2, column, reason)]
    reject = found.rejects[0]
    for text in (reject.detail, reject.excerpt):
        assert text.isascii()
        assert text.isprintable()
        assert len(text) <= 300


def test_a_row_may_hold_from_the_first_to_the_last_moment_allowed() -> None:
    found = parse_lines(
        '{"user_id":1,"updated_at":"1970-01-01T00:00:00Z"}',
        '{"user_id":2,"updated_at":"2025-06-01T12:05:00Z"}',
    )
    assert not found.rejects


@pytest.mark.parametrize(
    "time",
    ['"2025-05-01T10:00:00"', '"2025-05-01 12:00:00+0200"', "1746093600", "1746093600000"],
)
def test_times_mean_what_they_mean_in_events(time: str) -> None:
    found = parse_lines(f'{{"user_id":1,"updated_at":{time}}}')
    assert found.rows[0][1] == datetime.datetime.fromisoformat("2025-05-01T10:00")


def test_a_text_may_be_as_long_as_allowed_and_hold_what_looks_like_an_escape() -> None:
    longest = "ü" * MAX_STRING_CHARACTERS
    found = parse_lines(
        f'{{"user_id":1,{TIME},"plan":"{longest}"}}', f'{{"user_id":2,{TIME},"plan":"\\\\u0000"}}'
    )
    assert [fields["plan"] for fields in found.fields] == [longest, "\\u0000"]


def test_a_formula_is_text_like_any_other() -> None:
    formula = "=cmd|' /C calc'!A0"
    found = parse_lines(f'{{"user_id":1,{TIME},"plan":"{formula}"}}', f'{{"user_id":"{formula}"}}')
    assert found.fields == [{"plan": formula}]
    assert found.rejects[0].excerpt == repr(formula)


def test_control_characters_in_a_reject_are_escaped() -> None:
    found = parse_lines(GOOD, '{"user_id":"\\u001b[2J\\u202e","x":1}', b"\x1b]0;x\x07\xff")
    assert [reject.excerpt for reject in found.rejects] == [
        "'\\x1b[2J\\u202e'",
        "'\\x1b]0;x\\x07\\\\xff'",
    ]


def test_lines_are_numbered_as_an_editor_does() -> None:
    found = parse(f"\r\n{GOOD}\r\n  \n\nbad\n{GOOD}\nworse".encode(), Format.NDJSON)
    assert len(found.rows) == 2
    assert [reject.row for reject in found.rejects] == [5, 7]


def test_an_object_over_two_lines_is_no_row() -> None:
    found = parse_lines(GOOD, '{"user_id":1,', TIME + "}", GOOD)
    assert [reject.row for reject in found.rejects] == [2, 3]


def test_a_line_that_is_too_long_is_rejected_without_being_held() -> None:
    fits = f'{{"user_id":1,{TIME},"x":"{"y" * (MAX_ROW_BYTES - 60)}"}}'
    long = f'{{"user_id":1,{TIME},"x":"{"y" * 3 * MAX_ROW_BYTES}"}}'
    assert len(fits) <= MAX_ROW_BYTES
    found = parse_lines(GOOD, long, fits, GOOD, long)
    assert len(found.rows) == 3
    assert found.problems == [(2, "", "row_too_large"), (5, "", "row_too_large")]
    assert str(len(long)) in found.rejects[0].detail
    assert "user_id" in found.rejects[0].excerpt


def test_unknown_columns_are_named_and_not_stored() -> None:
    found = parse_lines(
        f'{{"user_id":1,{TIME},"plann":"free","tags":[1,{{"a":2}}]}}',
        GOOD,
        f'{{"user_id":1,{TIME},"plann":7,"quo\\"te":1,"age":3}}',
    )
    assert [text for _, _, text in found.rows] == ["{}", '{"plan":"free"}', '{"age":3}']
    assert found.unknown == ("'plann'", "'tags'", "'quo\"te'")
    assert not found.more_unknown


def test_names_of_unknown_columns_are_bounded() -> None:
    lines = [f'{{"user_id":1,{TIME},"c{n}":1}}' for n in range(100)]
    found = parse_lines(*lines)
    assert len(found.rows) == 100
    assert found.unknown == tuple(f"'c{n}'" for n in range(MAX_NAMED_COLUMNS))
    assert found.more_unknown


def test_a_row_of_very_many_columns_is_rejected() -> None:
    columns = ",".join(f'"c{n}":{n}' for n in range(50_000))
    found = parse_lines(GOOD, f'{{"user_id":1,{TIME},{columns}}}', GOOD)
    assert found.problems == [(2, "", "too_many_columns")]
    assert not found.unknown


def test_a_dataset_may_have_very_many_columns() -> None:
    names = [f"c{n:04}" for n in range(2_000)]
    dataset = Dataset("wide", "k", "t", tuple((name, "int64") for name in names))
    fields = ",".join(f'"{name}":{n}' for n, name in enumerate(names))
    rows = f'{{"k":1,"t":0,{fields}}}\n{{"k":1,"k":2,"t":0,"new":0,{fields}}}'
    table = f"k,t,{','.join(names)}\n1,1746093600,{','.join(map(str, range(2_000)))}\n"
    for content, format_ in ((rows, Format.NDJSON), (table, Format.CSV)):
        found = parse(content.encode(), format_, dataset=dataset)
        assert found.fields[-1] == {name: n for n, name in enumerate(names)}
        assert not found.rejects


@pytest.mark.parametrize("content", [b"\n", b" \r\n\t\n", b"\xef\xbb\xbf"])
def test_a_blank_file_is_refused(content: bytes) -> None:
    with pytest.raises(RefusedFileError) as refused:
        parse(content, Format.NDJSON)
    assert refused.value.code == "empty_file"
