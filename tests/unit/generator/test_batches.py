"""Encoding of batches and the record of what was acknowledged."""

import datetime
import hashlib
import io
import json

import pytest

from engine.generator.batches import Batch, compute_batch
from engine.generator.malformed import _KINDS, MalformedMessages
from engine.generator.sendlog import SendLog
from engine.generator.traffic import ShopEvent

NOW_US = 1_763_000_000_000_000
NONE = MalformedMessages(seed=1, share=0, rate=0.0)


def event(user_id: int = 1, value: float | None = None) -> ShopEvent:
    return ShopEvent(user_id=user_id, action="view", value=value, product_id=3, category="toys")


def time_us(message: bytes) -> int:
    moment = datetime.datetime.fromisoformat(json.loads(message)["timestamp"])
    return round(moment.timestamp() * 1_000_000)


def test_a_message_has_the_contracts_fields_and_the_user_as_key() -> None:
    batch = compute_batch([event(42, 9.5)], NONE, after_us=NOW_US, now_us=NOW_US)

    ((key, value),) = batch.messages
    assert key == b"42"
    assert json.loads(value) == {
        "user_id": 42,
        "action": "view",
        "timestamp": "2025-11-13T02:13:20.000000Z",
        "value": 9.5,
        "product_id": 3,
        "category": "toys",
    }


def test_an_absent_value_is_left_out() -> None:
    batch = compute_batch([event()], NONE, after_us=NOW_US, now_us=NOW_US)

    assert "value" not in json.loads(batch.messages[0][1])


def test_times_spread_over_the_span_and_end_now() -> None:
    batch = compute_batch([event() for _ in range(4)], NONE, after_us=NOW_US - 400, now_us=NOW_US)

    assert [time_us(value) - NOW_US for _, value in batch.messages] == [-300, -200, -100, 0]


def test_times_cross_a_second() -> None:
    batch = compute_batch(
        [event() for _ in range(4)], NONE, after_us=NOW_US - 2_000_000, now_us=NOW_US + 2_000_000
    )

    times = [time_us(value) - NOW_US for _, value in batch.messages]
    assert times == [-1_000_000, 0, 1_000_000, 2_000_000]


def test_malformed_messages_come_besides_the_events() -> None:
    events = [event(n) for n in range(1, 101)]
    plain = compute_batch(events, NONE, after_us=NOW_US, now_us=NOW_US)
    mixed = compute_batch(
        events, MalformedMessages(seed=1, share=0, rate=1.0), after_us=NOW_US, now_us=NOW_US
    )

    kept = [m for n, m in enumerate(mixed.messages) if n not in mixed.malformed]
    assert kept == plain.messages
    assert len(mixed.malformed) == 100


def test_malformed_rate_is_met_and_repeatable() -> None:
    first, second = (MalformedMessages(seed=3, share=1, rate=0.01) for _ in range(2))

    drawn = [first.next_message(1) for _ in range(20_000)]

    assert drawn == [second.next_message(1) for _ in range(20_000)]
    assert 120 < sum(message is not None for message in drawn) < 280


@pytest.mark.parametrize("kind", range(len(_KINDS)))
def test_each_malformed_kind_breaks_the_contract(kind: int) -> None:
    message = _KINDS[kind](5)

    try:
        found = json.loads(message)
    except ValueError:
        return
    assert (
        not isinstance(found, dict)
        or not isinstance(found.get("user_id"), int)
        or not found.get("action")
        or found.get("timestamp") in {"yesterday", "9999-01-01T00:00:00Z"}
        or found["value"] != found["value"]
    )


def test_the_send_log_tells_key_fields_and_hash_of_each_message() -> None:
    file = io.BytesIO()
    good = b'{"user_id":1,"action":"buy","timestamp":"2025-01-01T00:00:00Z","value":2,"x":[1]}'

    SendLog(file).append(Batch([(b"1", good), (b"1", b"\xff")], frozenset({1})))

    assert [json.loads(line) for line in file.getvalue().splitlines()] == [
        {
            "key": "1",
            "sha256": hashlib.sha256(good).hexdigest(),
            "user_id": 1,
            "action": "buy",
            "timestamp": "2025-01-01T00:00:00Z",
            "value": 2,
        },
        {"key": "1", "sha256": hashlib.sha256(b"\xff").hexdigest(), "malformed": True},
    ]
