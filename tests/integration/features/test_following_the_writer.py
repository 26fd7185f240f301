"""The online store behind the real writer: reads during writes, a restart, read-through."""

import random
from pathlib import Path

import pyarrow as pa
import pytest
import trio

from engine.config import OnlineConfig
from engine.features import FeatureRow, FeatureStore, OnlineStore
from engine.records import Append, WriteRequest
from engine.store import StoreSettings, open_store
from tests.unit.features import naive
from tests.unit.features.world import FEATURE_SET, NAMES, SECOND, event_batch, upload_batch

NOW_US = 1_700_000_000 * SECOND
USERS = 40


class Traffic:
    """Seeded events and uploads around the present."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._offset = 0

    def request(self) -> WriteRequest:
        draw = self._random
        events = []
        for _ in range(draw.randint(1, 60)):
            self._offset += 1
            action = draw.choice(("view", "view", "buy", "cart"))
            value = round(draw.uniform(-5, 99), 2) if draw.random() < 0.6 else None
            time = NOW_US - draw.randint(0, 90 * SECOND)
            user = draw.randrange(USERS)
            events.append(naive.Event(user, action, time, value, 0, self._offset))
        uploads = [
            naive.Upload(
                draw.randrange(USERS),
                "profiles",
                f'{{"plan":"{draw.choice("ab")}","score":{draw.random()}}}',
                NOW_US - draw.randint(0, 60 * SECOND),
            )
        ]
        return WriteRequest(
            (
                Append("events", event_batch(events)),
                Append("feature_history", upload_batch(uploads)),
            )
        )


def clock() -> int:
    return NOW_US


@pytest.mark.parametrize("max_bytes", [2**30, 30_000], ids=["roomy", "tight"])
async def test_every_row_served_during_writes_equals_history_at_its_commit(
    tmp_path: Path, max_bytes: int
) -> None:
    settings = StoreSettings(path=tmp_path / "trellis.duckdb", reader_threads=2)
    traffic = Traffic(seed=7)
    served: list[FeatureRow] = []
    for _ in range(2):
        async with open_store(settings) as store:
            online = OnlineStore(
                FEATURE_SET, OnlineConfig(max_bytes=max_bytes, fold_events=8), clock
            )
            store.writer.add_commit_listener(online.apply)
            await online.rebuild(store.reader, store.writer.commit_seq)
            features = FeatureStore(FEATURE_SET, online, store.reader, clock)

            async def write(submit_count: int) -> None:
                for _ in range(submit_count):
                    receipt = await store.writer.submit(traffic.request())
                    assert online.commit_seq >= receipt.commit_seq  # noqa: B023

            async def read(read_count: int) -> None:
                for number in range(read_count):
                    served.append(await features.get(number % USERS, NAMES))  # noqa: B023
                    await trio.lowlevel.checkpoint()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(write, 10)
                nursery.start_soon(read, 25)
                nursery.start_soon(read, 25)
            served += [await features.get(user, NAMES) for user in range(USERS)]
            # A commit of the past is answered by SQL alone.
            await store.writer.submit(traffic.request())
            for row in served:
                key, time, seq = row.entity_key, row.as_of_us, row.commit_seq
                assert await features.get(key, NAMES, time, seq) == row


async def test_a_training_set_of_what_was_served_equals_it(tmp_path: Path) -> None:
    settings = StoreSettings(path=tmp_path / "trellis.duckdb", reader_threads=2)
    traffic = Traffic(seed=11)
    async with open_store(settings) as store:
        online = OnlineStore(FEATURE_SET, OnlineConfig(), clock)
        store.writer.add_commit_listener(online.apply)
        await online.rebuild(store.reader, store.writer.commit_seq)
        features = FeatureStore(FEATURE_SET, online, store.reader, clock)
        for _ in range(10):
            await store.writer.submit(traffic.request())
        rows = await features.get_many([*range(USERS), 10_000], NAMES)
        keys = pa.table(
            {
                "entity_key": pa.array([row.entity_key for row in rows], pa.int64()),
                "event_time": pa.array([row.as_of_us for row in rows], pa.timestamp("us")),
            }
        )
        table = await features.training_set(keys, NAMES, with_status=True)
    for position, name in enumerate(NAMES):
        assert table[name].to_pylist() == [row.values[position].value for row in rows]
        statuses = [row.values[position].status.value for row in rows]
        assert table[f"{name}__status"].to_pylist() == statuses
