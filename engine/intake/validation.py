"""From message bytes to rows of `events`; what breaks a rule is set aside, never its neighbours.

An event is a JSON object in UTF-8. Of a field given twice the last counts.

- `user_id`: an integer of 64 bits. Not `1.0`, not `"1"`: guessing would join different users.
- `action`: 1 to 64 characters, none of them a control character.
- `timestamp`: see `engine.intake.timestamps`; between `Rules.oldest_us` and the clock plus
  `Rules.max_future_us`.
- `value`: optional, a number within ±1e12 (where sums stay exact); null is the same as absent,
  -0.0 becomes 0.0.
- Every further field is kept in `properties` as canonical JSON: keys sorted, no blanks, at most
  64 KiB and 64 levels.

Each message is decoded for itself; decoding many joined by line breaks would be faster, but one
that holds a line break could then pose as two.
"""

import re
from collections.abc import Sequence
from typing import Any, Self

import attrs
import msgspec
import pyarrow as pa

from engine.config import KafkaConfig
from engine.intake.malformed import explain_malformed, is_too_deep, too_deep
from engine.intake.rejection import Reason, Rejected, RejectedError, json_type, show
from engine.intake.timestamps import parse_timestamp
from engine.records import EVENTS_SCHEMA

MAX_ACTION_CHARACTERS = 64
MAX_VALUE = 1e12
MAX_PROPERTIES_BYTES = 64 * 1024

_INT64_MIN = -(2**63)
_INT64_MAX = 2**63 - 1
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MISSING: Any = object()

_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode

EventFields = tuple[int, str, int, float | None, str | None]
"""user_id, action, event time in microseconds, value, properties."""


@attrs.frozen
class Rules:
    """What of the rules can be configured."""

    max_message_bytes: int
    oldest_us: int
    max_future_us: int

    @classmethod
    def from_config(cls, config: KafkaConfig) -> Self:
        """Take the rules from the configuration's `kafka` section."""
        return cls(
            max_message_bytes=config.max_message_bytes,
            oldest_us=parse_timestamp(config.oldest.isoformat()),
            max_future_us=round(config.max_future_s * 1_000_000),
        )


@attrs.frozen
class DecodedBatch:
    """Messages of one partition, told apart. Both parts are in offset order."""

    events: pa.RecordBatch
    rejected: tuple[Rejected, ...]


def decode_batch(
    topic: str,
    partition: int,
    offsets: Sequence[int],
    payloads: Sequence[bytes | None],
    *,
    rules: Rules,
    now_us: int,
) -> DecodedBatch:
    """Decode messages of one partition.

    Args:
      offsets: of the messages, ascending.
      payloads: their values, as many as offsets; None is a tombstone.
      now_us: the engine's clock, in microseconds since 1970 UTC; it becomes `ingest_time`.
    Returns: the events with the columns of `EVENTS_SCHEMA`, and the rest with its reasons.
    """
    rows: list[EventFields] = []
    kept: list[int] = []
    rejected: list[Rejected] = []
    for offset, payload in zip(offsets, payloads, strict=True):
        try:
            rows.append(read_event(payload, rules, now_us))
        except RejectedError as error:
            rejected.append(Rejected(offset, payload, error.reason, error.detail))
        else:
            kept.append(offset)
    return DecodedBatch(_to_arrow(topic, partition, kept, rows, now_us), tuple(rejected))


def read_event(payload: bytes | None, rules: Rules, now_us: int) -> EventFields:
    """Return the fields of one message.

    Raises:
      RejectedError: the message breaks a rule.
    """
    if payload is None:
        raise RejectedError(Reason.TOMBSTONE, "the message has no value")
    if len(payload) > rules.max_message_bytes:
        raise RejectedError(
            Reason.TOO_LARGE,
            f"the message has {len(payload)} bytes, allowed are {rules.max_message_bytes} "
            "(kafka.max_message_bytes)",
        )
    try:
        fields = _decode_object(payload)
    except RecursionError:
        raise too_deep() from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise explain_malformed(payload) from None

    user_id = fields.pop("user_id", _MISSING)
    if type(user_id) is not int or not _INT64_MIN <= user_id <= _INT64_MAX:
        raise _refused_user_id(user_id)

    action = fields.pop("action", _MISSING)
    if type(action) is not str or not 0 < len(action) <= MAX_ACTION_CHARACTERS:
        raise _refused_action(action)
    if not action.isprintable() and _CONTROL_CHARACTER.search(action):
        raise RejectedError(
            Reason.ACTION_CHARACTERS, f"action {show(action)} holds a control character"
        )

    timestamp = fields.pop("timestamp", _MISSING)
    if timestamp is _MISSING:
        raise RejectedError(Reason.TIMESTAMP_MISSING, "timestamp is missing")
    time_us = parse_timestamp(timestamp)
    if not rules.oldest_us <= time_us <= now_us + rules.max_future_us:
        raise _refused_time(timestamp, time_us, rules)

    value = fields.pop("value", None)
    if value is not None:
        if type(value) is not float and type(value) is not int:
            raise RejectedError(
                Reason.VALUE_TYPE, f"value is {json_type(value)} ({show(value)}); give a number"
            )
        if not -MAX_VALUE <= value <= MAX_VALUE:
            raise RejectedError(
                Reason.VALUE_RANGE, f"value {show(value)} is not within ±{MAX_VALUE:g}"
            )
        value = float(value) + 0.0  # -0.0 + 0.0 is 0.0

    return user_id, action, time_us, value, _read_properties(fields) if fields else None


def _read_properties(fields: dict[str, Any]) -> str:
    try:
        encoded = _encode_sorted(fields)
    except RecursionError:
        raise too_deep() from None
    if len(encoded) > MAX_PROPERTIES_BYTES:
        raise RejectedError(
            Reason.PROPERTIES_TOO_LARGE,
            f"the further fields have {len(encoded)} bytes, allowed are {MAX_PROPERTIES_BYTES}",
        )
    if is_too_deep(fields, encoded):
        raise too_deep()
    return encoded.decode()


def _refused_user_id(found: object) -> RejectedError:
    if found is _MISSING:
        return RejectedError(Reason.USER_ID_MISSING, "user_id is missing")
    if type(found) is int:
        return RejectedError(
            Reason.USER_ID_RANGE, f"user_id {show(found)} is not within 64 bits with a sign"
        )
    return RejectedError(
        Reason.USER_ID_TYPE, f"user_id is {json_type(found)} ({show(found)}); give an integer"
    )


def _refused_action(found: object) -> RejectedError:
    if found is _MISSING:
        return RejectedError(Reason.ACTION_MISSING, "action is missing")
    if isinstance(found, str):
        return RejectedError(
            Reason.ACTION_LENGTH,
            f"action {show(found)} has {len(found)} characters, allowed are 1 to "
            f"{MAX_ACTION_CHARACTERS}",
        )
    return RejectedError(
        Reason.ACTION_TYPE, f"action is {json_type(found)} ({show(found)}); give a string"
    )


def _refused_time(found: object, time_us: int, rules: Rules) -> RejectedError:
    if time_us < rules.oldest_us:
        return RejectedError(
            Reason.TIMESTAMP_TOO_OLD,
            f"timestamp {show(found)} is {(rules.oldest_us - time_us) / 1e6:.6g} s before the "
            "oldest that is allowed (kafka.oldest)",
        )
    return RejectedError(
        Reason.TIMESTAMP_IN_FUTURE,
        f"timestamp {show(found)} is more than {rules.max_future_us / 1e6:.6g} s ahead of the "
        "clock (kafka.max_future_s)",
    )


def _to_arrow(
    topic: str, partition: int, offsets: list[int], rows: list[EventFields], now_us: int
) -> pa.RecordBatch:
    user_ids, actions, times_us, values, properties = zip(*rows, strict=True) if rows else [()] * 5
    count = len(rows)
    return pa.RecordBatch.from_arrays(
        [
            pa.array(user_ids, pa.int64()),
            pa.array(actions, pa.string()),
            pa.array(times_us, pa.timestamp("us")),
            pa.repeat(pa.scalar(now_us, pa.timestamp("us")), count),
            pa.array(values, pa.float64()),
            pa.array(properties, pa.string()),
            pa.repeat(pa.scalar(topic, pa.string()), count),
            pa.repeat(pa.scalar(partition, pa.int32()), count),
            pa.array(offsets, pa.int64()),
        ],
        schema=EVENTS_SCHEMA,
    )
