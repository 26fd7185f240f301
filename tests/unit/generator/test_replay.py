"""Recorded files: what becomes a message, what is skipped and why."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InvalidArgumentError
from engine.generator.replay import SkippedRow, open_replay, read_csv, read_ndjson

HEADER = b"user_id,action,timestamp,value,quantity,note\n"


def csv_rows(body: bytes) -> list[dict[str, Any] | SkippedRow]:
    return [
        row if isinstance(row, SkippedRow) else json.loads(row[1])
        for row in read_csv(io.BytesIO(HEADER + body))
    ]


def test_csv_numbers_become_numbers_and_empty_fields_are_left_out() -> None:
    assert csv_rows(b"1,purchase,1997-01-01T00:00:00Z,11.77,1,\n2,view,852076800,,,007\n") == [
        {
            "user_id": 1,
            "action": "purchase",
            "timestamp": "1997-01-01T00:00:00Z",
            "value": 11.77,
            "quantity": 1,
        },
        {"user_id": 2, "action": "view", "timestamp": 852076800, "note": "007"},
    ]


@pytest.mark.parametrize(
    "text", ["nan", "inf", "1e999", "0x10", "1_000", "٣", "99999999999999999999"]
)
def test_what_json_would_not_call_a_number_stays_text(text: str) -> None:
    (row,) = csv_rows(f"1,view,2020-01-01,,,{text}\n".encode())

    assert isinstance(row, dict)
    assert row["note"] == text


def test_an_action_of_digits_stays_text() -> None:
    (row,) = csv_rows(b"1,404,2020-01-01,,,\n")

    assert isinstance(row, dict)
    assert row["action"] == "404"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"1,view\n", "2 fields"),
        (b",view,2020-01-01,,,\n", "user_id is missing"),
        (b"x,view,2020-01-01,,,\n", "user_id is no 64-bit integer"),
        (b"1.5,view,2020-01-01,,,\n", "user_id is no 64-bit integer"),
        (b"9223372036854775808,view,2020-01-01,,,\n", "user_id is no 64-bit integer"),
        (b"1,,2020-01-01,,,\n", "action is missing"),
        (b"1,view,,,,\n", "timestamp is missing"),
        (b"1,view,yesterday,,,\n", "timestamp is no ISO 8601 time"),
        (b"1,view,2020-01-01,cheap,,\n", "value is no number"),
        (b"1,vi\xffew,2020-01-01,,,\n", "not UTF-8"),
    ],
)
def test_a_bad_csv_row_is_skipped_with_its_line_and_its_neighbours_are_kept(
    line: bytes, problem: str
) -> None:
    good = b"1,view,2020-01-01,,,\n"

    before, skipped, after = csv_rows(good + line + good)

    assert before == after
    assert isinstance(skipped, SkippedRow)
    assert skipped.line == 3
    assert problem in skipped.problem


def test_quoted_fields_may_span_lines_and_lines_are_still_counted() -> None:
    good, skipped = csv_rows(b'1,view,2020-01-01,,,"two\nlines"\n\nx,view,2020-01-01,,,\n')

    assert isinstance(good, dict)
    assert good["note"] == "two\nlines"
    assert isinstance(skipped, SkippedRow)
    assert skipped.line == 5


def test_a_stray_quote_does_not_swallow_the_rest_of_the_file() -> None:
    rows = csv_rows(b'1,view,2020-01-01,,,"\n' + b"2,view,2020-01-01,,,\n" * 20_000)

    assert any(isinstance(row, SkippedRow) for row in rows)
    assert sum(isinstance(row, dict) for row in rows) > 10_000


@pytest.mark.parametrize(
    "broken",
    [
        b'2,"view,2020-01-01,,,\n',
        b'2,view,2020-01-01,,,"\n',
        b'2,"vi"ew,2020-01-01,,,\n',
        b'2,"view,2020-01-01,,,\n' + b'3,"view",2020-01-01,,,\n',
    ],
)
def test_a_quote_that_is_not_closed_costs_its_own_line_only(broken: bytes) -> None:
    good = b"1,view,2020-01-01,,,\n"

    rows = csv_rows(good + broken + good * 3)

    skipped = [row for row in rows if isinstance(row, SkippedRow)]
    assert [row.line for row in skipped] == [3]
    assert "quote that is not closed" in skipped[0].problem
    assert len(rows) == 4 + broken.count(b"\n")


def test_many_unclosed_quotes_are_each_told() -> None:
    body = b'1,"view,2020-01-01,,,\n2,view,2020-01-01,,,\n' * 300

    rows = csv_rows(body)

    assert [row.line for row in rows if isinstance(row, SkippedRow)] == list(range(2, 602, 2))
    assert len(rows) == 600


def test_an_overlong_line_within_quotes_ends_the_record() -> None:
    good = b"1,view,2020-01-01,,,\n"

    rows = csv_rows(b'1,"view,1,,,\n' + b"x" * 2_000_000 + b"\n" + good)

    assert [row.line for row in rows if isinstance(row, SkippedRow)] == [2, 3]
    assert isinstance(rows[-1], dict)


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (b"user_id,action,timestamp,value, value\n", "more than once: 'value'"),
        (b"user_id,action,timestamp,,\n", "more than once: ''"),
        (b'user_id,action,"timestamp\n', "the header is not CSV"),
    ],
)
def test_a_header_that_does_not_name_each_column_once_is_refused(
    tmp_path: Path, header: bytes, problem: str
) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(header + b"1,view,2020-01-01,1,2\n")
    with (
        pytest.raises(InvalidArgumentError, match=problem),
        open_replay(path) as rows,
    ):
        next(rows)


@pytest.mark.parametrize("reader", [read_csv, read_ndjson])
def test_an_overlong_line_is_skipped_without_being_held(reader: Any) -> None:
    good = b'{"user_id":1,"action":"view","timestamp":1}\n'
    if reader is read_csv:
        good = b"1,view,1,,,\n"
    start = HEADER if reader is read_csv else b""
    body = start + good + b"x" * 5_000_000 + b"\n" + good

    rows = list(reader(io.BytesIO(body)))

    assert [isinstance(row, SkippedRow) for row in rows] == [False, True, False]
    assert rows[1].line == (3 if reader is read_csv else 2)


def test_json_lines_are_sent_as_they_stand() -> None:
    line = b'{ "timestamp": 1.0e3, "user_id": 7, "action": "a", "price": 1.10, "deep": {"a": [1]} }'

    rows = list(read_ndjson(io.BytesIO(line + b"\r\n\n")))

    assert rows == [(b"7", line)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b'{"user_id": true, "action": "a", "timestamp": 1}', "user_id is no 64-bit integer"),
        (b'{"user_id": 1, "action": 5, "timestamp": 1}', "action is no text"),
        (b'{"user_id": 1, "action": [], "timestamp": 1}', "action is no text"),
        (b'{"user_id": {}, "action": "a", "timestamp": 1}', "user_id is no 64-bit integer"),
        (b'{"user_id": 1, "action": "a", "timestamp": [1]}', "timestamp is no ISO 8601 time"),
        (b'{"user_id": 1, "action": "a", "timestamp": 1, "value": "1"}', "value is no number"),
        (b'{"user_id": 1, "action": "\xff", "timestamp": 1}', "not JSON"),
    ],
)
def test_a_bad_json_line_is_skipped(line: bytes, problem: str) -> None:
    (row,) = read_ndjson(io.BytesIO(line))

    assert isinstance(row, SkippedRow)
    assert problem in row.problem


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'\xef\xbb\xbf{"user_id":1,"action":"a","timestamp":1}', 1),
        (b"\xef\xbb\xbfuser_id,action,timestamp\n1,a,1\n2,a,1\n", 2),
        (b"user_id,action,timestamp\n", 0),
    ],
)
def test_the_format_is_told_by_the_first_character(
    tmp_path: Path, content: bytes, expected: int
) -> None:
    path = tmp_path / "events"
    path.write_bytes(content)

    with open_replay(path) as rows:
        found = list(rows)

    assert not any(isinstance(row, SkippedRow) for row in found)
    assert len(found) == expected


def test_a_missing_file_and_a_missing_column_are_clear_errors(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    with pytest.raises(InvalidArgumentError, match=r"events\.csv: No such file"), open_replay(path):
        pass
    path.write_bytes(b"user,action\n1,a\n")
    with (
        pytest.raises(InvalidArgumentError, match="lacks user_id, timestamp; it has user, action"),
        open_replay(path) as rows,
    ):
        next(rows)
