"""The generator's tasks: pacing, limits, failures, the log of what was acknowledged."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from engine.errors import InvalidArgumentError, UnavailableError
from engine.generator import GeneratorSettings, GeneratorStats, run_generator


@attrs.define
class Broker:
    """Takes messages, taking its time, and fails when told to."""

    latency_s: float = 0.0
    failing: Callable[[], bool] = lambda: False
    messages: list[tuple[bytes, bytes]] = attrs.field(factory=list)
    times_s: list[float] = attrs.field(factory=list)

    async def send(self, messages: Sequence[tuple[bytes, bytes]]) -> None:
        await trio.sleep(self.latency_s)
        if self.failing():
            raise UnavailableError("the broker is down")
        self.messages += messages
        self.times_s += [trio.current_time()] * len(messages)


def shop_clock() -> int:
    return 1_763_000_000_000_000 + int(trio.current_time() * 1_000_000)


async def test_events_come_at_the_rate_in_small_ticks(autojump_clock: MockClock) -> None:
    broker = Broker()

    await run_generator(
        GeneratorSettings(events_per_second=1000, duration_s=60, malformed_rate=0), broker.send
    )

    started = trio.current_time() - 60
    for second in (1, 10, 30, 59):
        sent = sum(time <= started + second for time in broker.times_s)
        assert sent == pytest.approx(1000 * second, abs=1000 * second * 0.01 + 30)


async def test_a_slow_broker_is_caught_up_with(autojump_clock: MockClock) -> None:
    slow = Broker(latency_s=0.5)

    stats = await run_generator(
        GeneratorSettings(events_per_second=500, duration_s=30, malformed_rate=0), slow.send
    )

    assert stats.acknowledged == pytest.approx(15_000, rel=0.03)
    assert len(slow.messages) == stats.acknowledged


async def test_users_keep_their_order_and_two_tasks_share_them(autojump_clock: MockClock) -> None:
    broker = Broker(latency_s=0.003)

    await run_generator(
        GeneratorSettings(events_per_second=2000, users=50, events=5_000),
        broker.send,
        clock_us=shop_clock,
    )

    last: dict[bytes, str] = {}
    for key, value in broker.messages:
        try:
            time = json.loads(value).get("timestamp")
        except (ValueError, AttributeError):
            continue
        if isinstance(time, str) and time.startswith("2025-11"):
            assert last.get(key, "") <= time
            last[key] = time
    assert {int(key) % 2 for key in last} == {0, 1}


@pytest.mark.parametrize(("events", "tasks", "users"), [(1, 2, 10), (7, 3, 10), (1000, 2, 1)])
async def test_exactly_the_wanted_number_of_events_is_sent(
    autojump_clock: MockClock, events: int, tasks: int, users: int
) -> None:
    broker = Broker()

    stats = await run_generator(
        GeneratorSettings(events=events, tasks=tasks, users=users, malformed_rate=0.1), broker.send
    )

    assert stats.acknowledged == events
    assert len(broker.messages) == events + stats.malformed


async def test_the_same_seed_sends_the_same_events(autojump_clock: MockClock) -> None:
    first, second = Broker(), Broker(latency_s=0.2)
    settings = GeneratorSettings(events=2_000, tasks=1, seed=5)

    for broker in (first, second):
        await run_generator(settings, broker.send)

    def facts(broker: Broker) -> list[tuple[object, ...]]:
        rows: list[tuple[object, ...]] = []
        for _, value in broker.messages:
            try:
                row = json.loads(value)
                rows.append((row["user_id"], row["action"], row.get("value")))
            except (ValueError, TypeError, KeyError):
                rows.append((value,))
        return rows

    assert facts(first) == facts(second)


async def test_a_failed_batch_is_counted_and_not_sent_again(autojump_clock: MockClock) -> None:
    broker = Broker()
    broker.failing = lambda: 5 < trio.current_time() - started < 10
    started = trio.current_time()

    stats = await run_generator(
        GeneratorSettings(events_per_second=100, duration_s=20, malformed_rate=0), broker.send
    )

    assert stats.unacknowledged > 0
    assert stats.acknowledged == len(broker.messages) == len(set(broker.messages))
    assert stats.acknowledged + stats.unacknowledged == pytest.approx(2_000, rel=0.01)


async def test_a_broker_that_stays_down_ends_the_run(autojump_clock: MockClock) -> None:
    broker = Broker(failing=lambda: True)

    with pytest.raises(UnavailableError, match="broker is down"):
        await run_generator(GeneratorSettings(give_up_after_s=30), broker.send)

    assert 25 < trio.current_time() < 120


async def test_a_demo_waits_for_its_broker_for_ever(autojump_clock: MockClock) -> None:
    broker = Broker()
    started = trio.current_time()
    broker.failing = lambda: trio.current_time() - started < 600

    stats = await run_generator(
        GeneratorSettings(give_up_after_s=None, duration_s=620, malformed_rate=0), broker.send
    )

    # The last 20 s, and no more than a few seconds of the outage before.
    assert 200 * 15 <= stats.acknowledged <= 200 * 30


async def test_cancelling_counts_what_was_under_way(autojump_clock: MockClock) -> None:
    stats = GeneratorStats()

    with trio.move_on_after(5):
        await run_generator(GeneratorSettings(tasks=1), Broker(latency_s=100).send, stats=stats)

    assert stats.acknowledged == 0
    assert stats.unacknowledged > 0


async def test_the_log_holds_exactly_what_was_acknowledged(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    broker = Broker()
    broker.failing = lambda: int(trio.current_time() * 10) % 3 == 0

    stats = await run_generator(
        GeneratorSettings(events=2_000, malformed_rate=0.05, log=tmp_path / "sent"), broker.send
    )

    lines = [json.loads(line) for line in (tmp_path / "sent").read_bytes().splitlines()]
    assert stats.unacknowledged > 0
    assert len(lines) == len(broker.messages)
    assert sum("malformed" in line for line in lines) == stats.malformed > 0
    assert [line["key"].encode() for line in lines] == [key for key, _ in broker.messages]


def write_csv(path: Path, rows: int) -> Path:
    lines = [f"{n},view,2020-01-01T00:00:00Z,{n}" for n in range(1, rows + 1)]
    path.write_text("\n".join(["user_id,action,timestamp,value", *lines]))
    return path


async def test_a_file_is_replayed_in_order_and_bad_rows_are_skipped(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "events.csv", 1_200)
    path.write_text(path.read_text().replace("\n600,view", "\nsix,view"))
    broker = Broker()

    stats = await run_generator(GeneratorSettings(replay=path, log=tmp_path / "sent"), broker.send)

    keys = [int(key) for key, _ in broker.messages]
    assert keys == [n for n in range(1, 1_201) if n != 600]
    assert (stats.acknowledged, stats.skipped_rows) == (1_199, 1)
    assert len((tmp_path / "sent").read_bytes().splitlines()) == 1_199


async def test_a_replay_stops_at_its_limit(tmp_path: Path) -> None:
    broker = Broker()

    stats = await run_generator(
        GeneratorSettings(replay=write_csv(tmp_path / "e.csv", 20_000), events=700), broker.send
    )

    assert stats.acknowledged == len(broker.messages) == 700


async def test_a_replay_may_be_paced(tmp_path: Path) -> None:
    broker = Broker()
    started = trio.current_time()

    await run_generator(
        GeneratorSettings(replay=write_csv(tmp_path / "e.csv", 100), events_per_second=200),
        broker.send,
    )

    assert 0.4 < trio.current_time() - started < 5


async def test_a_replay_fails_at_the_first_batch_that_is_not_acknowledged(tmp_path: Path) -> None:
    broker = Broker()
    broker.failing = lambda: len(broker.messages) >= 1_000
    stats = GeneratorStats()

    with pytest.raises(UnavailableError):
        await run_generator(
            GeneratorSettings(replay=write_csv(tmp_path / "e.csv", 5_000)), broker.send, stats=stats
        )

    assert (stats.acknowledged, stats.unacknowledged) == (1_000, 500)


async def test_a_file_that_cannot_be_replayed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("a,b\n1,2\n")

    with pytest.raises(InvalidArgumentError, match="lacks user_id"):
        await run_generator(GeneratorSettings(replay=tmp_path / "e.csv"), Broker().send)


@pytest.mark.parametrize(
    "changes",
    [
        {"events_per_second": 0.0},
        {"events_per_second": float("nan")},
        {"users": 0},
        {"malformed_rate": 1.5},
        {"tasks": 0},
        {"day_s": 0.0},
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(InvalidArgumentError, match=next(iter(changes))):
        GeneratorSettings(**changes)  # type: ignore[arg-type]
