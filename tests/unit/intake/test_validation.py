"""Every way a message can be wrong, each with its reason; and what is right stays untouched."""

import datetime
import json

import attrs
import pytest

from engine.config import KafkaConfig
from engine.intake.malformed import MAX_DEPTH
from engine.intake.rejection import Reason, Rejected
from engine.intake.validation import (
    MAX_PROPERTIES_BYTES,
    DecodedBatch,
    Rules,
    decode_batch,
    read_event,
)
from engine.records import EVENTS_SCHEMA

NOW = datetime.datetime(2025, 6, 1, 12, tzinfo=datetime.UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000
RULES = Rules.from_config(KafkaConfig())
GOOD = {"user_id": 7, "action": "click", "timestamp": "2025-06-01T11:59:00Z"}


def decode(*payloads: bytes | None, rules: Rules = RULES) -> DecodedBatch:
    return decode_batch("t", 3, range(len(payloads)), payloads, rules=rules, now_us=NOW_US)


def message(**changes: object) -> bytes:
    """A good message with fields replaced; an Ellipsis takes one away."""
    fields = {name: value for name, value in (GOOD | changes).items() if value is not ...}
    return json.dumps(fields).encode()


def nested(levels: int) -> bytes:
    """A good message whose properties have that many levels."""
    inner = "[" * (levels - 1) + "]" * (levels - 1)
    return message().replace(b"}", f', "deep": {inner or 1}}}'.encode())


def raw_timestamp(text: str) -> bytes:
    return b'{"user_id": 7, "action": "click", "timestamp": %s}' % text.encode()


BAD = {
    "tombstone": (None, Reason.TOMBSTONE),
    "no bytes": (b"", Reason.EMPTY),
    "blanks": (b" \r\n\t", Reason.EMPTY),
    "byte order mark": (b"\xef\xbb\xbf" + message(), Reason.BYTE_ORDER_MARK),
    "utf-16": (message().decode().encode("utf-16"), Reason.INVALID_UTF8),
    "latin-1 action": (message(action="X").replace(b"X", b"caf\xe9"), Reason.INVALID_UTF8),
    "encoded surrogate": (message(note="X").replace(b"X", b"\xed\xa0\x80"), Reason.INVALID_UTF8),
    "overlong slash": (message(note="X").replace(b"X", b"\xc0\xaf"), Reason.INVALID_UTF8),
    "escaped half surrogate": (message(note="X").replace(b"X", b"\\ud800"), Reason.INVALID_UNICODE),
    "half surrogate action": (
        message(action="X").replace(b"X", b"\\udc00"),
        Reason.INVALID_UNICODE,
    ),
    "half surrogate key": (message(X=1).replace(b"X", b"\\ud800"), Reason.INVALID_UNICODE),
    "cut short": (message()[:-1], Reason.INVALID_JSON),
    "two objects": (message() + message(), Reason.INVALID_JSON),
    "two lines": (message() + b"\n" + message(), Reason.INVALID_JSON),
    "single quotes": (message().replace(b'"', b"'"), Reason.INVALID_JSON),
    "trailing comma": (message().replace(b"}", b",}"), Reason.INVALID_JSON),
    "leading zero": (message(value=5).replace(b": 5", b": 05"), Reason.INVALID_JSON),
    "raw control character": (message(note="X").replace(b"X", b"\x01"), Reason.INVALID_JSON),
    "raw NUL": (message(note="X").replace(b"X", b"\x00"), Reason.INVALID_JSON),
    "html": (b"<html></html>", Reason.INVALID_JSON),
    "avro": (b"\x00\x00\x00\x00\x01\x0eclick\x02", Reason.INVALID_JSON),
    "NaN": (message(value=float("nan")), Reason.NOT_A_NUMBER),
    "Infinity": (message(value=float("inf")), Reason.NOT_A_NUMBER),
    "-Infinity": (message(value=float("-inf")), Reason.NOT_A_NUMBER),
    "NaN alone": (b"NaN", Reason.NOT_A_NUMBER),
    "array": (b"[1, 2]", Reason.NOT_AN_OBJECT),
    "string": (b'"hello"', Reason.NOT_AN_OBJECT),
    "number": (b"17", Reason.NOT_AN_OBJECT),
    "null": (b"null", Reason.NOT_AN_OBJECT),
    "true": (b"true", Reason.NOT_AN_OBJECT),
    "number beyond a double": (message(value=5).replace(b": 5", b": 1e400"), Reason.NUMBER_RANGE),
    "number beyond a double, further field": (
        message(note=5).replace(b": 5", b": -1e999"),
        Reason.NUMBER_RANGE,
    ),
    "five thousand digits": (
        message(note=5).replace(b": 5", b": " + b"9" * 5000),
        Reason.NUMBER_RANGE,
    ),
    "array bomb": (b"[" * 100_000, Reason.TOO_DEEP),
    "nested bomb": (message().replace(b"}", b', "x": ' + b"[" * 500_000), Reason.TOO_DEEP),
    "closed nested bomb": (nested(5_000), Reason.TOO_DEEP),
    "object bomb": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, Reason.TOO_DEEP),
    "one level too many": (nested(MAX_DEPTH + 1), Reason.TOO_DEEP),
    "no user_id": (message(user_id=...), Reason.USER_ID_MISSING),
    "null user_id": (message(user_id=None), Reason.USER_ID_TYPE),
    "float user_id": (message(user_id=1.0), Reason.USER_ID_TYPE),
    "text user_id": (message(user_id="123"), Reason.USER_ID_TYPE),
    "boolean user_id": (message(user_id=True), Reason.USER_ID_TYPE),
    "object user_id": (message(user_id={"id": 1}), Reason.USER_ID_TYPE),
    "user_id beyond int64": (message(user_id=2**63), Reason.USER_ID_RANGE),
    "user_id below int64": (message(user_id=-(2**63) - 1), Reason.USER_ID_RANGE),
    "huge user_id": (message(user_id=10**300), Reason.USER_ID_RANGE),
    "no action": (message(action=...), Reason.ACTION_MISSING),
    "null action": (message(action=None), Reason.ACTION_TYPE),
    "number action": (message(action=5), Reason.ACTION_TYPE),
    "array action": (message(action=["click"]), Reason.ACTION_TYPE),
    "empty action": (message(action=""), Reason.ACTION_LENGTH),
    "long action": (message(action="x" * 65), Reason.ACTION_LENGTH),
    "line break in action": (message(action="a\nb"), Reason.ACTION_CHARACTERS),
    "NUL in action": (message(action="a\x00"), Reason.ACTION_CHARACTERS),
    "C1 control in action": (message(action="a\x85b"), Reason.ACTION_CHARACTERS),
    "no timestamp": (message(timestamp=...), Reason.TIMESTAMP_MISSING),
    "null timestamp": (message(timestamp=None), Reason.TIMESTAMP_TYPE),
    "boolean timestamp": (message(timestamp=True), Reason.TIMESTAMP_TYPE),
    "array timestamp": (message(timestamp=[2025, 6, 1]), Reason.TIMESTAMP_TYPE),
    "text timestamp": (message(timestamp="yesterday"), Reason.TIMESTAMP_FORMAT),
    "numeric text timestamp": (message(timestamp="1748779140"), Reason.TIMESTAMP_FORMAT),
    "empty timestamp": (message(timestamp=""), Reason.TIMESTAMP_FORMAT),
    "thirteenth month": (message(timestamp="2025-13-01T00:00:00Z"), Reason.TIMESTAMP_FORMAT),
    "odd separator": (message(timestamp="2025-06-01x11:00:00Z"), Reason.TIMESTAMP_FORMAT),
    "american date": (message(timestamp="06/01/2025 11:00"), Reason.TIMESTAMP_FORMAT),
    "long timestamp": (message(timestamp="2" * 60_000), Reason.TIMESTAMP_FORMAT),
    "emoji timestamp": (message(timestamp="⏰"), Reason.TIMESTAMP_FORMAT),
    "microseconds": (message(timestamp=NOW_US), Reason.TIMESTAMP_UNIT),
    "nanoseconds": (message(timestamp=NOW_US * 1000), Reason.TIMESTAMP_UNIT),
    "huge timestamp": (message(timestamp=10**200), Reason.TIMESTAMP_UNIT),
    "huge float timestamp": (message(timestamp=1e300), Reason.TIMESTAMP_UNIT),
    "before 1970": (message(timestamp="1969-12-31T23:59:59Z"), Reason.TIMESTAMP_TOO_OLD),
    "year 1": (message(timestamp="0001-01-01T00:00:00+23:59"), Reason.TIMESTAMP_TOO_OLD),
    "negative epoch": (message(timestamp=-1), Reason.TIMESTAMP_TOO_OLD),
    "six minutes ahead": (message(timestamp="2025-06-01T12:06:00Z"), Reason.TIMESTAMP_IN_FUTURE),
    "year 9999": (message(timestamp="9999-12-31T23:59:59-23:59"), Reason.TIMESTAMP_IN_FUTURE),
    "text value": (message(value="9.99"), Reason.VALUE_TYPE),
    "boolean value": (message(value=False), Reason.VALUE_TYPE),
    "object value": (message(value={"amount": 1}), Reason.VALUE_TYPE),
    "value too large": (message(value=1.1e12), Reason.VALUE_RANGE),
    "value too small": (message(value=-1.1e12), Reason.VALUE_RANGE),
    "integer value of 300 digits": (message(value=10**300), Reason.VALUE_RANGE),
    "large properties": (message(note="x" * MAX_PROPERTIES_BYTES), Reason.PROPERTIES_TOO_LARGE),
    "ten megabytes": (message(note="x" * 10_000_000), Reason.TOO_LARGE),
}


@pytest.mark.parametrize(("payload", "reason"), BAD.values(), ids=BAD)
def test_bad_message_is_set_aside_with_its_reason_and_bytes(
    payload: bytes | None, reason: Reason
) -> None:
    batch = decode(message(user_id=1), payload, message(user_id=2))
    assert batch.events.column("user_id").to_pylist() == [1, 2]
    assert batch.events.column("offset").to_pylist() == [0, 2]
    assert [(found.offset, found.payload, found.reason) for found in batch.rejected] == [
        (1, payload, reason)
    ]
    [rejected] = batch.rejected
    assert rejected.detail.isprintable()
    assert len(rejected.detail) < 300


def test_every_reason_is_tested() -> None:
    # A batch that cannot be unpacked has no messages to validate: test_unreadable_batches.
    assert {reason for _, reason in BAD.values()} == set(Reason) - {Reason.UNREADABLE_BATCH}


def test_detail_names_the_field_what_was_found_and_what_is_allowed() -> None:
    [rejected] = decode(message(user_id="12\u00e9\n")).rejected
    assert rejected.detail == "user_id is a string ('12\\xe9\\n'); give an integer"
    [rejected] = decode(message(timestamp=1_748_779_140_000_000)).rejected
    assert "microseconds" in rejected.detail
    assert "seconds or milliseconds" in rejected.detail


def test_event_becomes_a_row() -> None:
    batch = decode(message(value=2, page="/a", cart=[1, {"b": None, "a": True}]))
    assert batch.events.schema == EVENTS_SCHEMA
    assert batch.events.to_pylist() == [
        {
            "user_id": 7,
            "action": "click",
            "event_time": (NOW - datetime.timedelta(minutes=1)).replace(tzinfo=None),
            "ingest_time": NOW.replace(tzinfo=None),
            "value": 2.0,
            "properties": '{"cart":[1,{"a":true,"b":null}],"page":"/a"}',
            "topic": "t",
            "partition": 3,
            "offset": 0,
        }
    ]


def test_empty_batch_has_the_schema() -> None:
    assert decode().events.schema == EVENTS_SCHEMA
    assert decode().events.num_rows == 0


@pytest.mark.parametrize("user_id", [0, -1, 2**63 - 1, -(2**63)])
def test_whole_range_of_user_id_is_taken(user_id: int) -> None:
    assert decode(message(user_id=user_id)).events.column("user_id").to_pylist() == [user_id]


@pytest.mark.parametrize(
    "action", ["x", "x" * 64, "日" * 64, "👩\u200d🚀", "zwölf Äpfel", "a\u00a0b"]
)
def test_action_counts_characters_and_may_be_any_text(action: str) -> None:
    assert decode(message(action=action)).events.column("action").to_pylist() == [action]


def test_null_value_is_absent_and_negative_zero_is_zero() -> None:
    values = decode(message(value=None), message(), message(value=-0.0)).events.column("value")
    assert [None if value is None else str(value) for value in values.to_pylist()] == [
        None,
        None,
        "0.0",
    ]


@pytest.mark.parametrize("value", [1e12, -1e12, 0, 5, 1e-300, 0.1])
def test_value_within_its_range_is_taken(value: float) -> None:
    assert decode(message(value=value)).events.column("value").to_pylist() == [value]


def test_last_of_a_field_given_twice_counts() -> None:
    payload = message().replace(b"}", b', "user_id": 8, "a": 1, "a": 2}')
    [row] = decode(payload).events.to_pylist()
    assert (row["user_id"], row["properties"]) == (8, '{"a":2}')


def test_deepest_allowed_properties_are_taken() -> None:
    [row] = decode(nested(MAX_DEPTH)).events.to_pylist()
    assert row["properties"].count("[") == MAX_DEPTH - 1


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert not decode(message(pairs=[[1]] * 1_000)).rejected


def test_integers_of_properties_keep_every_digit() -> None:
    [row] = decode(message(order=12345678901234567890123)).events.to_pylist()
    assert row["properties"] == '{"order":12345678901234567890123}'


def test_escaped_nul_in_properties_stays_escaped() -> None:
    [row] = decode(message(note="a\x00b")).events.to_pylist()
    assert row["properties"] == '{"note":"a\\u0000b"}'


def test_message_at_the_size_limit_is_taken_and_one_byte_more_is_not() -> None:
    rules = attrs.evolve(RULES, max_message_bytes=len(message()))
    assert not decode(message(), rules=rules).rejected
    [rejected] = decode(message() + b" ", rules=rules).rejected
    assert rejected.reason is Reason.TOO_LARGE
    assert "kafka.max_message_bytes" in rejected.detail


def test_time_limits_are_inclusive_and_configurable() -> None:
    rules = attrs.evolve(RULES, oldest_us=NOW_US - 1_000_000, max_future_us=0)
    batch = decode(
        message(timestamp="2025-06-01T12:00:00Z"),
        message(timestamp="2025-06-01T12:00:00.000001Z"),
        message(timestamp="2025-06-01T11:59:59Z"),
        message(timestamp="2025-06-01T11:59:58.999999Z"),
        rules=rules,
    )
    assert batch.events.column("offset").to_pylist() == [0, 2]
    assert [found.reason for found in batch.rejected] == [
        Reason.TIMESTAMP_IN_FUTURE,
        Reason.TIMESTAMP_TOO_OLD,
    ]


def test_rules_come_from_the_configuration() -> None:
    config = KafkaConfig(
        oldest=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), max_future_s=1.5
    )
    rules = Rules.from_config(config)
    assert rules.oldest_us == 1_577_836_800_000_000
    assert rules.max_future_us == 1_500_000


def test_all_rejects_make_an_empty_batch() -> None:
    batch = decode(b"x", None)
    assert batch.events.num_rows == 0
    assert [found.offset for found in batch.rejected] == [0, 1]
    assert all(isinstance(found, Rejected) for found in batch.rejected)


def test_fields_of_one_event_can_be_read_alone() -> None:
    assert read_event(message(value=1), RULES, NOW_US) == (
        7,
        "click",
        NOW_US - 60_000_000,
        1.0,
        None,
    )
