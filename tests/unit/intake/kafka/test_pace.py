"""Fetches wait longer at the embedded broker while nothing comes."""

from types import SimpleNamespace

import pytest

from engine.intake.kafka.pace import FetchPace


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("engine.intake.kafka.pace.time.monotonic", clock)
    return clock


def adjusted_wait_ms(pace: FetchPace, *, records_came: bool) -> int:
    client = SimpleNamespace(_fetcher=SimpleNamespace(_fetch_max_wait_ms=0))
    pace.adjust(client, records_came=records_came)
    return int(client._fetcher._fetch_max_wait_ms)


def test_embedded_broker_is_asked_seldom_after_some_idle_seconds(clock: Clock) -> None:
    pace = FetchPace(embedded=True)
    assert pace.wait_ms == 20
    clock.now_s += 3
    assert adjusted_wait_ms(pace, records_came=False) == 20
    clock.now_s += 0.1
    assert adjusted_wait_ms(pace, records_came=False) == 200


def test_first_records_bring_the_short_wait_back(clock: Clock) -> None:
    pace = FetchPace(embedded=True)
    clock.now_s += 60
    assert adjusted_wait_ms(pace, records_came=False) == 200
    assert adjusted_wait_ms(pace, records_came=True) == 20
    clock.now_s += 1
    assert adjusted_wait_ms(pace, records_came=False) == 20


def test_other_brokers_answer_at_once_and_need_no_change(clock: Clock) -> None:
    pace = FetchPace(embedded=False)
    clock.now_s += 60
    assert adjusted_wait_ms(pace, records_came=False) == pace.wait_ms
