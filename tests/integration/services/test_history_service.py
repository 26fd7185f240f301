"""HistoryService over a real data file and a real folder of archives."""

from contextlib import aclosing
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from engine.backends.blobs import BlobStore
from engine.backends.blobs.files import open_blob_files
from engine.backends.blobs.local_folder import FolderDriver
from engine.errors import InvalidArgumentError, ResourceExhaustedError
from engine.history import Archive, ArchiveList, ArchiveState, HistoryReads
from engine.services import HistoryService
from engine.services.history_rows import encode_archive
from engine.store import StoreSettings, open_store
from proto.trellis.v1 import history_pb2 as pb
from tests.support.archived_rows import (
    DAY_US,
    EVENTS,
    PREDICTIONS,
    START_US,
    append,
    make_events,
    make_predictions,
    move,
    spread,
)

MESSAGE_BYTES_MAX = 4 * 2**20


@pytest.fixture
async def service(tmp_path: Path):
    """Three archives of events, two of predictions, each planned a second after the other."""
    blobs = BlobStore(FolderDriver(open_blob_files(tmp_path / "blobs"), 10.0))
    async with open_store(StoreSettings(path=tmp_path / "trellis.duckdb")) as store:
        await append(store, EVENTS, make_events(spread(1_000)))
        await append(store, PREDICTIONS, make_predictions(spread(500), entity_key=-7))
        planned_us = START_US
        for table, days in ((EVENTS, (2, 4, 6)), (PREDICTIONS, (3, 5))):
            for day in days:
                planned_us += 1_000_000
                until_us = START_US + day * DAY_US
                await move(store, blobs, table, until_us, planned_us=planned_us)
        big = make_events(
            [START_US + 60 * DAY_US] * 100, properties='{"x": "' + "y" * 60_000 + '"}'
        )
        await append(store, EVENTS, big)
        reads = HistoryReads(store.reader, blobs, tmp_path, lambda: store.writer.commit_seq)
        yield HistoryService(ArchiveList(store.reader), reads)


async def read(service: HistoryService, **wanted: object) -> list[pb.ReadHistoryResponse]:
    async with aclosing(service.ReadHistory(pb.ReadHistoryRequest(**wanted))) as replies:
        return [reply async for reply in replies]


async def test_archives_are_listed_page_by_page(service: HistoryService) -> None:
    found: list[pb.Archive] = []
    token = ""
    while True:
        request = pb.ListArchivesRequest(page_size=2, page_token=token)
        page = await service.ListArchives(request)
        found += page.archives
        token = page.next_page_token
        if not token:
            break
    assert [archive.table for archive in found] == ["predictions"] * 2 + ["events"] * 3
    planned = [archive.planned_at.ToMicroseconds() for archive in found]
    assert planned == sorted(planned, reverse=True)
    assert {archive.state for archive in found} == {pb.ARCHIVE_STATE_STORED}
    latest = found[2]
    assert latest.first_time.ToMicroseconds() >= START_US + 4 * DAY_US
    assert latest.last_time.ToMicroseconds() < latest.until_time.ToMicroseconds()
    assert latest.stored_at.ToMicroseconds() == latest.planned_at.ToMicroseconds() + 1_000_000
    assert (len(latest.sha256), latest.kept_json) == (64, "[]")
    assert 0 < latest.row_count < 1_000
    of_events = await service.ListArchives(pb.ListArchivesRequest(table="events"))
    assert list(of_events.archives) == found[2:]
    assert not (await service.ListArchives(pb.ListArchivesRequest(table="x"))).archives


def test_a_planned_archive_has_what_is_known_of_it() -> None:
    nothing = (None, None, None)
    planned = Archive(
        "A", "events", ArchiveState.PLANNED, 5, *nothing, 9, 3, None, "b", None, None, "[]"
    )
    message = encode_archive(planned)
    assert message.state == pb.ARCHIVE_STATE_PLANNED
    assert not message.HasField("stored_at")
    assert not message.HasField("first_time")
    assert (message.row_count, message.sha256, message.until_time.nanos) == (0, "", 9_000)


async def test_the_first_message_says_as_of_what_and_how_much(service: HistoryService) -> None:
    first, *rest = await read(service, table=pb.HISTORY_TABLE_EVENTS)
    assert not first.events
    assert first.commit_seq > 10
    assert first.rows_to_scan == 1_100
    assert {reply.commit_seq for reply in rest} == {first.commit_seq}
    assert rest[-1].rows_scanned == 1_100
    scanned = [reply.rows_scanned for reply in rest]
    assert scanned == sorted(scanned)
    assert sum(len(reply.events) for reply in rest) == 1_100
    assert not any(reply.predictions for reply in rest)


async def test_messages_are_of_bounded_size_however_long_the_rows_are(
    service: HistoryService,
) -> None:
    replies = await read(service, table=pb.HISTORY_TABLE_EVENTS)
    sizes = [reply.ByteSize() for reply in replies]
    assert max(sizes) < MESSAGE_BYTES_MAX / 4
    assert sum(sizes) > 80 * 60_000


async def test_an_entity_is_told_from_no_entity_also_when_it_is_0(service: HistoryService) -> None:
    table = pb.HISTORY_TABLE_EVENTS
    _, *replies = await read(service, table=table, entity_key=0)
    assert {event.user_id for reply in replies for event in reply.events} == {0}
    _, *replies = await read(service, table=pb.HISTORY_TABLE_PREDICTIONS, entity_key=-7, limit=300)
    made = [prediction for reply in replies for prediction in reply.predictions]
    assert len(made) == 300
    for prediction in made:
        is_odd = int(prediction.prediction_id[1:]) % 2
        assert prediction.HasField("probabilities_json") != is_odd
        assert prediction.HasField("request_id") != is_odd
    assert made[0].inputs_json == '[1,"a",null]'


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({}, "table"),
        ({"table": 9}, "table"),
        ({"table": 1, "limit": -1}, "limit"),
        ({"table": 1, "from_time": Timestamp(seconds=-1)}, "from_time"),
        ({"table": 1, "until_time": Timestamp(nanos=-5)}, "until_time"),
        ({"table": 1, "until_time": Timestamp()}, "until_time"),
    ],
)
async def test_a_bad_field_is_named(service: HistoryService, wanted, field: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        await read(service, **wanted)
    assert refused.value.field == field


@pytest.mark.parametrize("token", ["x", "before:", "before:5", "before:x:y", f"before:{9**30}:a"])
async def test_a_page_token_of_nobody_is_refused(service: HistoryService, token: str) -> None:
    with pytest.raises(InvalidArgumentError, match="page_token"):
        await service.ListArchives(pb.ListArchivesRequest(page_token=token))


async def test_readers_that_stop_reading_leave_room_for_others(service: HistoryService) -> None:
    request = pb.ReadHistoryRequest(table=pb.HISTORY_TABLE_EVENTS)
    begun = [service.ReadHistory(request) for _ in range(5)]
    for replies in begun[:4]:
        await anext(replies)
    with pytest.raises(ResourceExhaustedError):
        await anext(begun[4])
    for replies in begun:
        await replies.aclose()
    assert len(await read(service, table=pb.HISTORY_TABLE_EVENTS)) > 4
