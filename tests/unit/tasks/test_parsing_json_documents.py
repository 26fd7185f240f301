"""JSON documents: arrays, objects with rows, single objects, and what is broken in each."""

import json

import pytest

from engine.tasks.parsing import Format, RefusedFileError
from engine.tasks.parsing.limits import MAX_ROW_BYTES
from tests.support.parsed_file import parse

GOOD = {"user_id": 1, "updated_at": "2025-05-01T10:00:00Z", "plan": "free"}
TEXT = json.dumps(GOOD)


def refusal_of(content: str | bytes) -> str:
    with pytest.raises(RefusedFileError) as refused:
        parse(content if isinstance(content, bytes) else content.encode(), Format.JSON)
    assert refused.value.code == "malformed_json"
    message = str(refused.value)
    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 400
    return message


@pytest.mark.parametrize(
    "document",
    [
        [GOOD, GOOD, GOOD],
        {"rows": [GOOD, GOOD, GOOD]},
        {"exported": {"by": ["x", None]}, "rows": [GOOD, GOOD, GOOD], "count": 3},
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_rows_stand_in_an_array(document: object, indent: int | None) -> None:
    found = parse(json.dumps(document, indent=indent).encode(), Format.JSON)
    assert found.fields == [{"plan": "free"}] * 3
    assert found.format is Format.JSON
    assert not found.rejects


def test_a_single_object_is_one_row() -> None:
    found = parse(json.dumps({**GOOD, "rows": 5}, indent=1).encode(), Format.JSON)
    assert found.fields == [{"plan": "free"}]
    assert found.unknown == ("'rows'",)


def test_an_empty_array_has_no_rows_and_nothing_is_wrong_with_it() -> None:
    for document in ("[]", " [ ] ", '{"rows": []}'):
        found = parse(document.encode(), Format.JSON)
        assert not found.rows
        assert not found.rejects


def test_bad_rows_are_rejected_by_their_place() -> None:
    document = f'[{TEXT}, 7, {{"user_id": NaN}}, [], {TEXT}, {{"user_id": {"9" * 5000}}}, null]'
    found = parse(document.encode(), Format.JSON)
    assert len(found.rows) == 2
    assert found.problems == [
        (2, "", "not_an_object"),
        (3, "", "not_a_number"),
        (4, "", "not_an_object"),
        (6, "", "number_range"),
        (7, "", "not_an_object"),
    ]


def test_bytes_that_are_no_utf_8_cost_their_row_only() -> None:
    raw = f"[{TEXT},".encode() + b'{"plan":"caf\xe9"},' + f"{TEXT}]".encode()
    found = parse(raw, Format.JSON)
    assert len(found.rows) == 2
    assert found.problems == [(2, "", "invalid_utf8")]


def test_a_row_may_be_as_large_as_allowed() -> None:
    fits = json.dumps({**GOOD, "x": "y" * (MAX_ROW_BYTES - 100)})
    assert len(fits) <= MAX_ROW_BYTES
    assert len(parse(f"[{fits},{fits}]".encode(), Format.JSON).rows) == 2
    wide = json.dumps({**GOOD, "x": "ü" * (MAX_ROW_BYTES - 100)}, ensure_ascii=False)
    found = parse(f"[{fits},{wide},{fits}]".encode(), Format.JSON)
    assert len(found.rows) == 2
    assert found.problems == [(2, "", "row_too_large")]


@pytest.mark.parametrize(
    ("document", "what"),
    [
        ("nonsense", "starts with neither"),
        ("7", "starts with neither"),
        ("[", "ends where a value"),
        ("[1", "document ends where ',' or ']'"),
        (f"[{TEXT}", "document ends where ',' or ']'"),
        (f"[{TEXT},", "ends where a value"),
        (f"[{TEXT},]", "Expecting value"),
        (f"[{TEXT} {TEXT}]", "'{' is found where ',' or ']'"),
        (f"[{TEXT}}}", "'}' is found where ',' or ']'"),
        (f"[{TEXT}] x", "something follows"),
        (f'[{TEXT}, {{"a": }}]', "Expecting value"),
        (f'[{TEXT}, {{"a": "b]', "Unterminated string"),
        (f'[{TEXT}, {{"a": "b\n"}}]', "Invalid control character"),
        ("[" * 200_000, "nested too deeply"),
        ('{"a":' * 200_000, "nested too deeply"),
        ('{"rows": [1], "rows": [2]}', "`rows` twice"),
        ('{"a": 1,}', "name in double quotes"),
        ("{a: 1}", "name in double quotes"),
        ('{"a" 1}', "where ':'"),
        ('{"a": 1', "where ',' or '}'"),
        ("{", "name in double quotes"),
    ],
)
def test_a_broken_document_is_refused_with_the_place(document: str, what: str) -> None:
    message = refusal_of(document)
    assert what in message
    assert "row " in message
    assert "NDJSON" in message


def test_the_place_is_told_also_far_into_a_document() -> None:
    rows = ",".join([TEXT] * 50_000)
    document = f'[{rows},{{"a" 1}},{rows}]'
    message = refusal_of(document)
    assert "(row 50001)" in message
    assert f"character {document.index(' 1}') + 1} " in message
    assert "Expecting ':' delimiter" in message


@pytest.mark.parametrize(
    "element",
    [
        '"' + "x" * 2 * MAX_ROW_BYTES + '"',
        '"' + "x" * 2 * MAX_ROW_BYTES,
        '{"a":"' + "x" * 2 * MAX_ROW_BYTES + '"}',
        "[" + "1," * MAX_ROW_BYTES + "1]",
        "9" * 2 * MAX_ROW_BYTES,
    ],
)
def test_an_element_that_does_not_end_is_refused(element: str) -> None:
    message = refusal_of(f"[{TEXT},{element},{TEXT}]")
    assert "larger than" in message
    assert "row 2" in message


def test_a_large_object_without_rows_is_refused() -> None:
    document = json.dumps({f"c{n}": "x" * 1000 for n in range(2_000)})
    assert "beside `rows`" in refusal_of(document)


@pytest.mark.parametrize("content", [b" ", b"\n\n", b"\xef\xbb\xbf "])
def test_a_blank_document_is_refused(content: bytes) -> None:
    with pytest.raises(RefusedFileError) as refused:
        parse(content, Format.JSON)
    assert refused.value.code == "empty_file"
