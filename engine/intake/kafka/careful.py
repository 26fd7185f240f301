"""Reading one record at a time, to take what stands beside a batch that cannot be unpacked.

When the client meets such a batch it raises an error that does not tell which partition it stands
in, and drops the records it had unpacked before.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import aiokafka.errors
import attrs

from engine.intake.kafka.bridge import CLIENT_FAILURES, describe_failure

_CAREFUL_S = 5.0
"""After the last failure. It costs twice the time a record; that there are more is likely."""
_RETRY_S = 0.3
"""Until a batch that failed is fetched again."""
_LOOK_S = 0.02
_UNREADABLE = (
    aiokafka.errors.CorruptRecordException,
    aiokafka.errors.UnsupportedCodecError,
    aiokafka.errors.RecordTooLargeError,
)


class UnreadableRecordsError(aiokafka.errors.KafkaError):  # type: ignore[misc]
    """What the broker sent cannot be unpacked. The client has lost track of its positions."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


@attrs.frozen
class CarefulRead:
    """Records by partition, and why the partitions that failed did."""

    records: Mapping[int, Sequence[Any]]
    unreadable: Mapping[int, str]


async def aio_get(
    client: Any, *partitions: Any, timeout_ms: int, max_records: int
) -> dict[Any, Sequence[Any]]:
    """Return records by aiokafka's TopicPartition.

    Raises:
      UnreadableRecordsError: a batch cannot be unpacked.
      KafkaError: anything else.
    """
    try:
        batches: dict[Any, Sequence[Any]] = await client.getmany(
            *partitions, timeout_ms=timeout_ms, max_records=max_records
        )
    except _UNREADABLE as error:
        raise UnreadableRecordsError(describe_failure(error)) from error
    except aiokafka.errors.KafkaError:
        raise
    except Exception as error:
        if isinstance(error, CLIENT_FAILURES) and not isinstance(error, OSError):
            raise
        # The rest comes out of the codecs, each of which has errors of its own, OSError included:
        # connections fail elsewhere, in a task of the client's.
        raise UnreadableRecordsError(describe_failure(error)) from error
    return batches


class CarefulReader:
    """Knows for how long to be careful, and which partitions failed a moment ago."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._until_s = 0.0
        self._retry_at_s: dict[Any, float] = {}

    @property
    def wanted(self) -> bool:
        return time.monotonic() < self._until_s

    def begin(self) -> None:
        """Be careful from now on."""
        self._until_s = time.monotonic() + _CAREFUL_S

    async def aio_read(
        self, partitions: Iterable[Any], timeout_ms: int, max_records: int
    ) -> CarefulRead:
        """Return what there is of each partition, at most up to a batch that fails.

        A partition that failed a moment ago is left out.
        """
        tps = list(partitions)
        records: dict[int, Sequence[Any]] = {}
        unreadable: dict[int, str] = {}
        for tp in tps:
            if time.monotonic() < self._retry_at_s.get(tp, 0.0):
                continue
            taken: list[Any] = []
            failure = await self._aio_read_one_by_one(tp, taken, max(max_records // len(tps), 1))
            if taken:
                records[tp.partition] = taken
            if failure is not None:
                unreadable[tp.partition] = failure
        if not records and not unreadable:
            await asyncio.sleep(min(timeout_ms / 1000, _LOOK_S))
        return CarefulRead(records, unreadable)

    async def _aio_read_one_by_one(self, tp: Any, taken: list[Any], count: int) -> str | None:
        while len(taken) < count:
            position = await self._client.position(tp)
            try:
                batches = await aio_get(self._client, tp, timeout_ms=0, max_records=1)
            except UnreadableRecordsError as error:
                self.begin()
                self._retry_at_s[tp] = time.monotonic() + _RETRY_S
                # Drops the broken batch, so that it is fetched again.
                self._client.seek(tp, position)
                return error.cause
            if not batches:
                break
            taken += batches[tp]
        return None
