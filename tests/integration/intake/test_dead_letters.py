"""Dead letters are listed, published, and taken in after a fix: once."""

import attrs
import pytest
import trio

from engine.clock import read_clock_us
from engine.config import KafkaConfig
from engine.errors import InvalidArgumentError, NotFoundError
from engine.intake.broker import dead_letter_topic
from engine.intake.committer import Batch
from engine.intake.dead_letters import (
    MAX_FAILURES_SHOWN,
    DeadLetters,
    DeadLetterState,
    ReplayReport,
    Selection,
)
from engine.intake.validation import Rules, decode_batch
from engine.store.store import Store
from tests.integration.intake.brokers import RealBroker, read_topic
from tests.integration.intake.conftest import (
    fetch_users,
    make_event,
    make_events,
    running_intake,
    wait_rows,
)

RULES = Rules.from_config(KafkaConfig())
STRICT = attrs.evolve(RULES, max_message_bytes=20)


async def refuse(
    store: Store, payloads: list[bytes | None], *, rules: Rules = STRICT, first_offset: int = 0
) -> None:
    """Put messages into the data file as the intake does under these rules."""
    now_us = read_clock_us()
    offsets = range(first_offset, first_offset + len(payloads))
    decoded = decode_batch("events", 1, offsets, payloads, rules=rules, now_us=now_us)
    batch = Batch("events")
    batch.add(1, decoded, "first", now_us)
    await store.writer.submit(batch.to_request(now_us))


def open_dead_letters(store: Store, rules: Rules = RULES) -> DeadLetters:
    return DeadLetters(store.reader, store.writer, rules, read_clock_us)


async def test_latest_dead_letter_is_listed_first_with_its_payload_cut(store: Store) -> None:
    event = make_event(1)
    await refuse(store, [event, None])
    await refuse(store, [b"{" * 15], first_offset=2)
    letters = await open_dead_letters(store).list_dead_letters(max_payload_bytes=4)
    assert [letter.offset for letter in letters] == [2, 1, 0]
    latest, tombstone, first = letters
    assert (latest.payload, latest.payload_size_bytes) == (b"{{{{", 15)
    assert (tombstone.payload, tombstone.payload_size_bytes) == (None, 0)
    assert (first.payload, first.payload_size_bytes) == (b'{"us', len(event))
    assert first.dead_letter_id == "events/1/0@first"
    assert (first.reason, latest.reason) == ("too_large", "invalid_json")
    assert first.published_us is None
    assert first.replayed_us is None
    [uncut] = await open_dead_letters(store).list_dead_letters(reason="invalid_json")
    assert uncut.payload == b"{" * 15
    [empty] = await open_dead_letters(store).list_dead_letters(limit=1, max_payload_bytes=0)
    assert empty.payload == b""


async def test_pages_follow_each_other_without_gap_or_overlap(store: Store) -> None:
    await refuse(store, [b"x"] * 7)
    dead_letters = open_dead_letters(store)
    seen: list[int] = []
    after = None
    while page := await dead_letters.list_dead_letters(limit=3, after=after):
        seen += [letter.offset for letter in page]
        after = (page[-1].received_us, page[-1].dead_letter_id)
    assert seen == [6, 5, 4, 3, 2, 1, 0]


async def test_lists_can_be_narrowed_by_state(store: Store) -> None:
    await refuse(store, [make_event(1), b"x"])
    dead_letters = open_dead_letters(store)
    await dead_letters.replay(Selection())

    async def offsets(state: DeadLetterState | None) -> list[int]:
        return [letter.offset for letter in await dead_letters.list_dead_letters(state=state)]

    assert await offsets(DeadLetterState.REPLAYED) == [0]
    assert await offsets(DeadLetterState.PENDING) == [1]
    assert await offsets(None) == [1, 0]


@pytest.mark.parametrize(
    "arguments",
    [{"limit": 0}, {"limit": 501}, {"max_payload_bytes": -1}, {"max_payload_bytes": 4097}],
)
async def test_list_refuses_numbers_out_of_range(store: Store, arguments: dict[str, int]) -> None:
    with pytest.raises(InvalidArgumentError):
        await open_dead_letters(store).list_dead_letters(**arguments)  # type: ignore[arg-type]


async def test_replay_takes_in_what_the_rules_of_now_allow(store: Store) -> None:
    await refuse(store, [*make_events(0, 3), b"still not JSON at all"])
    report = await open_dead_letters(store).replay(Selection())
    assert (report.replayed, report.already_replayed, report.failed) == (3, 0, 1)
    [failure] = report.failures
    assert (failure.dead_letter_id, failure.reason) == ("events/1/3@first", "invalid_json")
    assert await fetch_users(store) == [0, 1, 2]
    assert await store.reader.fetch_rows("SELECT DISTINCT topic, partition FROM events") == [
        ("events", 1)
    ]
    assert await store.reader.fetch_rows('SELECT "offset" FROM events ORDER BY 1') == [
        (0,),
        (1,),
        (2,),
    ]
    # The one that is still refused tells why under the rules of now.
    assert await store.reader.fetch_rows(
        'SELECT reason, replayed_at IS NULL FROM dead_letters WHERE "offset" = 3'
    ) == [("invalid_json", True)]
    # An event and the mark of its dead letter land in the same commit.
    [(same,)] = await store.reader.fetch_rows(
        'SELECT count(*) FROM events JOIN dead_letters USING (partition, "offset", commit_seq)'
    )
    assert same == 3


async def test_replaying_again_and_at_once_takes_each_in_once(store: Store) -> None:
    await refuse(store, make_events(0, 50))
    dead_letters = open_dead_letters(store)
    reports: list[ReplayReport] = []

    async def replay() -> None:
        reports.append(await dead_letters.replay(Selection()))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(replay)
    assert sum(report.replayed for report in reports) == 50
    assert await fetch_users(store) == list(range(50))


async def test_cancelled_replay_can_be_repeated(store: Store) -> None:
    await refuse(store, make_events(0, 200))
    dead_letters = open_dead_letters(store)
    for patience_s in (0.0, 0.001, 0.003, 0.006, 0.01, 0.02):
        with trio.move_on_after(patience_s):
            await dead_letters.replay(Selection())
    await dead_letters.replay(Selection())
    assert await fetch_users(store) == list(range(200))


async def test_replay_of_chosen_ones_leaves_the_others(store: Store) -> None:
    await refuse(store, make_events(0, 4))
    dead_letters = open_dead_letters(store)
    chosen = ("events/1/1@first", "events/1/3@first")
    assert (await dead_letters.replay(Selection(ids=chosen))).replayed == 2
    again = await dead_letters.replay(Selection(ids=chosen))
    assert (again.replayed, again.already_replayed) == (0, 2)
    assert await fetch_users(store) == [1, 3]


async def test_replay_by_reason(store: Store) -> None:
    await refuse(store, [make_event(1), b"x"])
    report = await open_dead_letters(store).replay(Selection(reason="too_large"))
    assert (report.replayed, report.failed) == (1, 0)


async def test_replay_of_an_unknown_id_names_it_and_does_nothing(store: Store) -> None:
    await refuse(store, make_events(0, 2))
    unknown = tuple(f"events/1/{number}@other" for number in range(7))
    with pytest.raises(NotFoundError) as refused:
        await open_dead_letters(store).replay(Selection(ids=("events/1/0@first", *unknown)))
    assert all(name in str(refused.value) for name in unknown[:5])
    assert "and 2 more" in str(refused.value)
    assert "events/1/0@first" not in str(refused.value)
    assert await fetch_users(store) == []


async def test_replay_of_an_unknown_reason_lists_close_ones(store: Store) -> None:
    with pytest.raises(NotFoundError, match="close to it: too_large"):
        await open_dead_letters(store).replay(Selection(reason="to_large"))


async def test_replay_of_a_reason_that_nothing_has_is_no_error(store: Store) -> None:
    report = await open_dead_letters(store).replay(Selection(reason="tombstone"))
    assert (report.replayed, report.failed) == (0, 0)


async def test_replay_of_too_many_ids_is_refused(store: Store) -> None:
    with pytest.raises(InvalidArgumentError):
        await open_dead_letters(store).replay(Selection(ids=("x",) * 1_001))


async def test_only_the_first_failures_are_spelled_out(store: Store) -> None:
    await refuse(store, [b"x"] * (MAX_FAILURES_SHOWN + 5))
    report = await open_dead_letters(store).replay(Selection())
    assert report.failed == MAX_FAILURES_SHOWN + 5
    assert len(report.failures) == MAX_FAILURES_SHOWN


async def test_many_large_dead_letters_are_replayed_in_rounds(store: Store) -> None:
    for first in range(0, 6, 2):
        large = [make_event(first + n, note="x" * 9_000_000) for n in range(2)]
        await refuse(store, large, first_offset=first)
    generous = attrs.evolve(RULES, max_message_bytes=10_000_000)
    report = await open_dead_letters(store, generous).replay(Selection())
    # They fit into a message now, but their properties are still too large.
    assert {failure.reason for failure in report.failures} == {"properties_too_large"}
    assert report.failed == 6


async def test_dead_letters_left_unpublished_by_an_earlier_run_are_published_at_start(
    embedded_broker: RealBroker, config: KafkaConfig, store: Store
) -> None:
    await refuse(store, [b"x", b"y"])
    async with running_intake(config, embedded_broker, store):
        await wait_rows(store, "dead_letters WHERE published_at IS NOT NULL", 2)
    records = await read_topic(embedded_broker, dead_letter_topic(config.topic), 2)
    assert [record.value for record in records] == [b"x", b"y"]
