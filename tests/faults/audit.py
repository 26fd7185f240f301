"""The data file against the independent log: nothing lost, nothing twice, offsets in agreement."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import attrs
import duckdb

from tests.support.event_source import SentEvent


@attrs.define
class Findings:
    """What an audit counted; everything below `refused` must be zero."""

    events: int = 0
    dead_letters: int = 0
    refused: int = 0
    """Good events among the dead letters, where that may be."""
    lost: int = 0
    repeated: int = 0
    altered: int = 0
    offset_gaps: int = 0
    details: list[str] = attrs.field(factory=list)

    @property
    def clean(self) -> bool:
        return not (self.lost or self.repeated or self.altered or self.offset_gaps)


def audit(
    data_file: Path,
    topic: str,
    sent: Iterable[SentEvent],
    *,
    all_consumed: bool,
    may_refuse: bool = False,
) -> Findings:
    """Compare the data file of a stopped engine with what the broker acknowledged.

    Args:
      data_file: the DuckDB file; no engine may hold it.
      sent: every acknowledged message.
      all_consumed: also count a message at or past the stored offset as lost.
      may_refuse: the engine's clock was wrong at times, so that good events looked bad to it.
    """
    findings = Findings()
    with duckdb.connect(str(data_file), read_only=True) as connection:
        rows = connection.execute(
            'SELECT partition, "offset", user_id, action, epoch_us(event_time), value, properties '
            "FROM events WHERE topic = ?",
            [topic],
        ).fetchall()
        dead = connection.execute(
            'SELECT partition, "offset", payload FROM dead_letters WHERE topic = ?', [topic]
        ).fetchall()
        next_offsets = dict(
            connection.execute(
                "SELECT partition, next_offset FROM kafka_offsets WHERE topic = ?", [topic]
            ).fetchall()
        )
    findings.events, findings.dead_letters = len(rows), len(dead)

    places = Counter((row[0], row[1]) for row in (*rows, *dead))
    findings.repeated = sum(count - 1 for count in places.values())
    for partition, next_offset in next_offsets.items():
        held = sum(1 for place in places if place[0] == partition)
        if held != next_offset:
            findings.offset_gaps += 1
            findings.details.append(
                f"partition {partition}: next offset {next_offset}, but {held} messages"
            )

    by_place = {(row[0], row[1]): row[2:] for row in rows}
    payload_by_place = {(row[0], row[1]): bytes(row[2]) for row in dead}
    for message in sent:
        place = (message.partition, message.offset)
        if not all_consumed and message.offset >= next_offsets.get(message.partition, 0):
            continue
        if message.event is None:
            found_payload = payload_by_place.get(place)
            findings.lost += found_payload is None
            findings.altered += found_payload not in (None, message.payload)
        elif may_refuse and payload_by_place.get(place) == message.payload:
            findings.refused += 1
        elif place not in by_place:
            findings.lost += 1
            findings.details.append(f"lost {place}")
        elif not _same(message.event, by_place[place]):
            findings.altered += 1
            findings.details.append(f"altered {place}: {message.event} became {by_place[place]}")
    return findings


def _same(event: dict[str, object], row: tuple[object, ...]) -> bool:
    user_id, action, event_time_us, value, properties = row
    timestamp_us = round(float(str(event["timestamp"])) * 1_000_000)
    return (
        user_id == event["user_id"]
        and action == event["action"]
        and event_time_us == timestamp_us
        and value == event.get("value")
        and json.loads(str(properties)) == {"n": event["n"]}
    )
