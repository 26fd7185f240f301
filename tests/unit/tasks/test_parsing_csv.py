"""CSV: headers, quotes, types, and rows that do not fit."""

import datetime

import pytest

from engine.tasks.parsing import Format, RefusedFileError
from engine.tasks.parsing.limits import MAX_ROW_BYTES, MAX_UNDECLARED_COLUMNS
from tests.support.parsed_file import Parsed, parse

HEADER = "user_id,updated_at,plan,age,score,member"
TIME = "2025-05-01T10:00:00Z"
GOOD = f"1,{TIME},free,3,1.5,true"


def parse_text(text: str) -> Parsed:
    return parse(text.encode(errors="surrogateescape"), Format.CSV)


def refusal_of(text: str) -> tuple[str, str]:
    with pytest.raises(RefusedFileError) as refused:
        parse_text(text)
    assert str(refused.value).isprintable()
    return str(refused.value.code), str(refused.value)


@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_rows_follow_the_header(line_break: str, mark: str) -> None:
    found = parse_text(mark + line_break.join([HEADER, GOOD, GOOD]))
    row = (
        1,
        datetime.datetime.fromisoformat("2025-05-01T10:00"),
        '{"age":3,"member":true,"plan":"free","score":1.5}',
    )
    assert found.rows == [row, row]
    assert found.format is Format.CSV


def test_columns_may_stand_in_any_order_and_be_missing() -> None:
    found = parse_text(f"plan, other ,updated_at,user_id\nfree,x,{TIME},5\n")
    assert found.rows[0][0] == 5
    assert found.fields == [{"plan": "free"}]
    assert found.unknown == ("'other'",)


def test_an_empty_field_is_missing() -> None:
    found = parse_text(f'{HEADER}\n1,{TIME},,,,\n2,{TIME},"","","",""\n')
    assert found.fields == [{}, {}]


def test_quotes_enclose_commas_line_breaks_and_quotes() -> None:
    found = parse_text(
        f'{HEADER}\n1,{TIME},"a,""b""\nc\r\nd",,,\n2,{TIME},e"f,"7",,\nbad\n3,{TIME},,,,\n'
    )
    assert [key for key, _, _ in found.rows] == [1, 2, 3]
    assert found.fields[0] == {"plan": 'a,"b"\nc\r\nd'}
    assert found.fields[1] == {"plan": 'e"f', "age": 7}
    assert found.problems == [(6, "", "column_count")]


def test_a_formula_is_text_like_any_other() -> None:
    found = parse_text(f"{HEADER}\n1,{TIME},=cmd|'/C calc'!A0,,,\n1,{TIME},,=1+1,,\n")
    assert found.fields == [{"plan": "=cmd|'/C calc'!A0"}]
    assert found.rejects[0].excerpt == "'=1+1'"


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        ("1", "", "column_count"),
        (GOOD + ",", "", "column_count"),
        ("," * 900_000, "", "column_count"),
        (f'1,{TIME},"free" ,3,1.5,true', "", "quoting"),
        (f"1,{TIME},fr\ree,3,1.5,true", "", "quoting"),
        (f"1,{TIME},caf\udce9,3,1.5,true", "", "invalid_utf8"),
        (f"1,{TIME},caf\0e,3,1.5,true", "plan", "string_nul"),
        (f",{TIME},free,3,1.5,true", "user_id", "key_missing"),
        (f"x,{TIME},free,3,1.5,true", "user_id", "value_type"),
        (f"1.0,{TIME},free,3,1.5,true", "user_id", "value_type"),
        (f"1_0,{TIME},free,3,1.5,true", "user_id", "value_type"),
        (f"٣,{TIME},free,3,1.5,true", "user_id", "value_type"),
        (f"0x10,{TIME},free,3,1.5,true", "user_id", "value_type"),
        (f"9223372036854775808,{TIME},free,3,1.5,true", "user_id", "value_range"),
        (f"{'9' * 9999},{TIME},free,3,1.5,true", "user_id", "value_range"),
        (f"1,{TIME},free,3.0,1.5,true", "age", "value_type"),
        (f"1,{TIME},free,3,nan,true", "score", "not_a_number"),
        (f"1,{TIME},free,3,-Infinity,true", "score", "not_a_number"),
        (f"1,{TIME},free,3,1e999,true", "score", "value_range"),
        (f'1,{TIME},free,3,"1,5",true', "score", "value_type"),
        (f"1,{TIME},free,3,1.5,1", "member", "value_type"),
        (f"1,{TIME},free,3,1.5,yes", "member", "value_type"),
        (f"1,{TIME},{'x' * 70_000},3,1.5,true", "plan", "string_too_long"),
        ("1,,free,3,1.5,true", "updated_at", "timestamp_missing"),
        ("1,05/01/2025,free,3,1.5,true", "updated_at", "timestamp_format"),
        ("1,2262-01-01,free,3,1.5,true", "updated_at", "timestamp_in_future"),
        ("1,1748772000000000,free,3,1.5,true", "updated_at", "timestamp_format"),
        ("x" * 2 * MAX_ROW_BYTES, "", "row_too_large"),
    ],
)
@pytest.mark.parametrize("with_quotes", [False, True])
def test_a_bad_row_is_rejected_with_its_reason_and_its_neighbours_are_kept(
    line: str, column: str, reason: str, with_quotes: bool
) -> None:
    good = GOOD.replace("free", '"free"') if with_quotes else GOOD
    found = parse_text("\n".join([HEADER, good, line, good]))
    assert found.fields == [{"age": 3, "member": True, "plan": "free", "score": 1.5}] * 2
    assert found.problems == [(3, column, reason)]
    for text in (found.rejects[0].detail, found.rejects[0].excerpt):
        assert text.isascii()
        assert text.isprintable()
        assert len(text) <= 300


def test_numbers_booleans_and_times_are_read_as_people_write_them() -> None:
    found = parse_text(
        f"{HEADER}\n 007 ,2025-05-01 10:00,a,+5,.5,TRUE\n-2,1746093600,b,-0,-1.e3,False\n"
        "3,1746093600000,c,, 7 ,\n4,1746093600.25,d,,,\n5,20250501,e,,,\n"
    )
    assert not found.rejects
    assert [key for key, _, _ in found.rows] == [7, -2, 3, 4, 5]
    assert [text for _, _, text in found.rows[:3]] == [
        '{"age":5,"member":true,"plan":"a","score":0.5}',
        '{"age":0,"member":false,"plan":"b","score":-1000.0}',
        '{"plan":"c","score":7.0}',
    ]
    assert {time.hour for _, time, _ in found.rows[:4]} == {10}


def test_a_quote_that_is_not_closed_costs_its_own_row_only() -> None:
    lines = [f"{n},{TIME},free,,," for n in range(3, 30_000)]
    lines[100] = f'103,{TIME},"free,,,'
    lines[20_000] = f'20003,{TIME},fr"ee,"5,,'
    found = parse_text("\n".join([HEADER, f'2,{TIME},"x",,,', *lines]))
    assert len(found.rows) == 1 + len(lines) - 2
    assert found.problems == [(103, "", "quoting"), (20_003, "", "unclosed_quote")]


def test_a_quote_that_a_later_one_seems_to_close_costs_its_own_row_only() -> None:
    found = parse_text(f'{HEADER}\n1,{TIME},"a,,,\n2,{TIME},b,,,\n3,{TIME},"c",,,\n4,{TIME},d,,,\n')
    assert [key for key, _, _ in found.rows] == [2, 3, 4]
    assert found.problems == [(2, "", "quoting")]


def test_a_file_whose_quotes_all_stay_open_is_given_up() -> None:
    code, message = refusal_of(f"{HEADER}\n" + 'a","\n' * 1_000_000)
    assert code == "malformed_csv"
    assert "quotes that are not closed" in message


@pytest.mark.parametrize(
    ("text", "code", "what"),
    [
        ("\n\r\n\n", "empty_file", "blank"),
        ("plan,age\nfree,3\n", "missing_column", "'plan', 'age'"),
        ("user_id,plan\n1,free\n", "missing_column", "updated_at"),
        ("User_ID,updated_at\n", "missing_column", "'User_ID'"),
        (HEADER.replace(",", ";") + "\n1;2\n", "malformed_csv", "semicolons"),
        (HEADER.replace(",", "\t") + "\n1\t2\n", "malformed_csv", "tabs"),
        (f"{HEADER},age\n", "duplicate_column", "2 columns named age"),
        (f'"{HEADER}\n{GOOD}\n', "malformed_csv", "header"),
        (",".join(f"c{n}" for n in range(MAX_UNDECLARED_COLUMNS + 1)), "too_many_columns", "1001"),
        (",".join(f"c{n}" for n in range(100_000)), "too_many_columns", "100000"),
        ("," * 999_999 + "\n", "too_many_columns", "1000000"),
        ("x" * 2 * MAX_ROW_BYTES + "\n", "malformed_csv", "bytes"),
        ("=cmd()\x1b[2J,b\n", "missing_column", r"\x1b"),
    ],
)
def test_a_file_that_is_not_for_the_dataset_is_refused(text: str, code: str, what: str) -> None:
    found, message = refusal_of(text)
    assert found == code
    assert what in message


def test_a_header_alone_is_a_file_without_rows() -> None:
    for text in (HEADER, HEADER + "\n", "\n" + HEADER + "\r\n\r\n"):
        found = parse_text(text)
        assert not found.rows
        assert not found.rejects


def test_unknown_columns_may_have_the_same_name() -> None:
    found = parse_text(f"user_id,updated_at,x,x,\n1,{TIME},a,b,c\n")
    assert len(found.rows) == 1
    assert found.unknown == ("'x'", "''")
