"""Looking at refused messages, and taking them in after a fix."""

import difflib
import enum
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import trio

from engine.clock import to_datetime
from engine.errors import InvalidArgumentError, NotFoundError
from engine.intake.rejection import Reason
from engine.intake.rounds import ROUND_ROWS, take_round
from engine.intake.validation import DecodedBatch, Rules, decode_batch
from engine.records import Append, Operation, Upsert, WriteRequest
from engine.store.queries import load_queries
from engine.store.reader import Reader
from engine.store.writer import Writer

MAX_LISTED = 500
MAX_PAYLOAD_SHOWN_BYTES = 4096
MAX_FAILURES_SHOWN = 100
MAX_IDS = 1_000

_MAX_UNKNOWN_SHOWN = 5

_QUERIES = load_queries("engine.intake")


class DeadLetterState(enum.Enum):
    """Whether a dead letter was taken in after all."""

    PENDING = "pending"
    REPLAYED = "replayed"


@attrs.frozen
class DeadLetter:
    """A refused message as it is listed."""

    dead_letter_id: str
    topic: str
    partition: int
    offset: int
    broker_incarnation: str
    received_us: int
    payload: bytes | None
    """Its first bytes; None for a tombstone."""
    payload_size_bytes: int
    reason: str
    detail: str
    published_us: int | None
    replayed_us: int | None


@attrs.frozen
class Selection:
    """Which dead letters to replay, of those that are pending. Nothing given: all."""

    ids: tuple[str, ...] | None = None
    reason: str | None = None


@attrs.frozen
class ReplayFailure:
    """A dead letter that is still refused."""

    dead_letter_id: str
    reason: str
    detail: str


@attrs.frozen
class ReplayReport:
    """What came of a replay."""

    replayed: int
    already_replayed: int
    """Of the ids given, those that had been taken in before."""
    failed: int
    failures: tuple[ReplayFailure, ...]
    """The first of those that are still refused."""


class DeadLetters:
    """The dead letters of the data file. Used from the Trio thread."""

    def __init__(
        self, reader: Reader, writer: Writer, rules: Rules, clock_us: Callable[[], int]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._rules = rules
        self._clock_us = clock_us
        # Two replays at once could both find the same message pending.
        self._replaying = trio.Lock()

    async def list_dead_letters(
        self,
        *,
        limit: int = 100,
        reason: str | None = None,
        state: DeadLetterState | None = None,
        max_payload_bytes: int = 256,
        after: tuple[int, str] | None = None,
    ) -> list[DeadLetter]:
        """Return dead letters, the latest first.

        Args:
          limit: 1 to MAX_LISTED.
          reason: only those with this code.
          max_payload_bytes: 0 to MAX_PAYLOAD_SHOWN_BYTES of each payload.
          after: (received_us, dead_letter_id) of the last one of the page before.
        Raises:
          InvalidArgumentError: a number is out of range.
          StoreError: the query failed.
        """
        if not 1 <= limit <= MAX_LISTED:
            raise InvalidArgumentError("limit", f"{limit} is not within 1 and {MAX_LISTED}")
        if not 0 <= max_payload_bytes <= MAX_PAYLOAD_SHOWN_BYTES:
            raise InvalidArgumentError(
                "max_payload_bytes",
                f"{max_payload_bytes} is not within 0 and {MAX_PAYLOAD_SHOWN_BYTES}",
            )
        after_received_us, after_id = after or (None, None)
        rows = await self._reader.fetch_rows(
            _QUERIES["dead_letters"],
            {
                "reason": reason,
                "replayed": None if state is None else state is DeadLetterState.REPLAYED,
                "max_payload_bytes": max_payload_bytes,
                "after_received_us": after_received_us,
                "after_id": after_id,
                "max_rows": limit,
            },
        )
        return [DeadLetter(*row) for row in rows]

    async def replay(self, selection: Selection) -> ReplayReport:
        """Validate dead letters again and take in those that pass now.

        Each becomes an event once, however often it is replayed: the event and the mark land in one
        transaction. It keeps the topic, partition and offset it came from. Those still refused
        stay, with the reason of now.

        Raises:
          InvalidArgumentError: too many ids.
          NotFoundError: an id, or the reason, does not exist; nothing is done.
          StoreError: some rounds may have been written, each wholly.
        Cancellation: as with StoreError; a round that was begun is finished.
        """
        if selection.ids is not None and len(selection.ids) > MAX_IDS:
            raise InvalidArgumentError("ids", f"{len(selection.ids)} are more than {MAX_IDS}")
        _check_reason(selection.reason)
        await self._check_ids(selection.ids)
        replayed = failed = 0
        failures: list[ReplayFailure] = []
        async with self._replaying:
            already_replayed = await self._count_replayed(selection.ids)
            after_id = ""
            while rows := await self._read_round(selection, after_id):
                after_id = rows[-1][0]
                passed, refused = self._decode(rows)
                # Until its end is known the lock must be held: shielded, and bounded since the
                # writer answers every request.
                with trio.CancelScope(shield=True):
                    await self._write(passed, refused)
                replayed += len(rows) - len(refused)
                failed += len(refused)
                failures += refused[: MAX_FAILURES_SHOWN - len(failures)]
        return ReplayReport(replayed, already_replayed, failed, tuple(failures))

    async def _check_ids(self, ids: Sequence[str] | None) -> None:
        if ids is None:
            return
        rows = await self._reader.fetch_rows(_QUERIES["known_dead_letters"], {"ids": list(ids)})
        known = {dead_letter_id for (dead_letter_id,) in rows}
        if unknown := [name for name in dict.fromkeys(ids) if name not in known]:
            shown = ", ".join(unknown[:_MAX_UNKNOWN_SHOWN])
            more = len(unknown) - _MAX_UNKNOWN_SHOWN
            raise NotFoundError("dead letter", f"{shown} and {more} more" if more > 0 else shown)

    async def _count_replayed(self, ids: Sequence[str] | None) -> int:
        if ids is None:
            return 0
        rows = await self._reader.fetch_rows(_QUERIES["replayed_dead_letters"], {"ids": list(ids)})
        return int(rows[0][0])

    async def _read_round(self, selection: Selection, after_id: str) -> list[tuple[Any, ...]]:
        sizes = await self._reader.fetch_rows(
            _QUERIES["replayable_dead_letters"],
            {
                "ids": None if selection.ids is None else list(selection.ids),
                "reason": selection.reason,
                "after_id": after_id,
                "max_rows": ROUND_ROWS,
            },
        )
        if not sizes:
            return []
        return await self._reader.fetch_rows(
            _QUERIES["dead_letters_to_replay"], {"ids": take_round(sizes)}
        )

    def _decode(
        self, rows: Sequence[tuple[Any, ...]]
    ) -> tuple[list[tuple[str, DecodedBatch]], list[ReplayFailure]]:
        """Decode each message for itself; offsets of different logs may be the same."""
        now_us = self._clock_us()
        passed: list[tuple[str, DecodedBatch]] = []
        refused: list[ReplayFailure] = []
        for dead_letter_id, topic, partition, offset, payload, reason, detail in rows:
            if reason == Reason.UNREADABLE_BATCH:
                # Its payload is not a message, and what is known of it stays as it is.
                refused.append(ReplayFailure(dead_letter_id, reason, detail))
                continue
            decoded = decode_batch(
                topic, partition, [offset], [payload], rules=self._rules, now_us=now_us
            )
            if decoded.rejected:
                [why] = decoded.rejected
                refused.append(ReplayFailure(dead_letter_id, str(why.reason), why.detail))
            else:
                passed.append((dead_letter_id, decoded))
        return passed, refused

    async def _write(
        self, passed: Sequence[tuple[str, DecodedBatch]], refused: Sequence[ReplayFailure]
    ) -> None:
        operations: list[Operation] = [Append("events", decoded.events) for _, decoded in passed]
        if passed:
            replayed_at = to_datetime(self._clock_us())
            marks = [(dead_letter_id, replayed_at) for dead_letter_id, _ in passed]
            operations.append(Upsert("dead_letters", ("dead_letter_id", "replayed_at"), marks))
        if refused:
            reasons = [(why.dead_letter_id, why.reason, why.detail) for why in refused]
            operations.append(
                Upsert("dead_letters", ("dead_letter_id", "reason", "detail"), reasons)
            )
        await self._writer.submit(WriteRequest(tuple(operations)))


def _check_reason(reason: str | None) -> None:
    codes = [str(code) for code in Reason]
    if reason is not None and reason not in codes:
        raise NotFoundError("reason", reason, difflib.get_close_matches(reason, codes))
