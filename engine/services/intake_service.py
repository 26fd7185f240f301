"""`trellis.v1.IntakeService`: what intake refused, and taking it in after a fix."""

from typing import Protocol

from engine.errors import InvalidArgumentError
from engine.intake.dead_letters import (
    MAX_IDS,
    MAX_LISTED,
    MAX_PAYLOAD_SHOWN_BYTES,
    DeadLetter,
    DeadLetterState,
    ReplayReport,
    Selection,
)
from engine.services.arguments import read_page_size
from engine.services.feature_rows import set_time
from proto.trellis.v1 import dead_letters_pb2
from proto.trellis.v1.dead_letters_grpc import IntakeServiceServicer

_PAGE_DEFAULT = 100
_PAYLOAD_DEFAULT_BYTES = 256
_STATE = {
    dead_letters_pb2.DEAD_LETTER_STATE_UNSPECIFIED: None,
    dead_letters_pb2.DEAD_LETTER_STATE_PENDING: DeadLetterState.PENDING,
    dead_letters_pb2.DEAD_LETTER_STATE_REPLAYED: DeadLetterState.REPLAYED,
}


class DeadLetterStore(Protocol):
    """What the service needs of the intake."""

    async def list_dead_letters(
        self,
        *,
        limit: int,
        reason: str | None,
        state: DeadLetterState | None,
        max_payload_bytes: int,
        after: tuple[int, str] | None,
    ) -> list[DeadLetter]:
        """Return dead letters, the latest first, from after a place in that order on."""

    async def replay(self, selection: Selection) -> ReplayReport:
        """Validate dead letters again and take in those that pass."""


class IntakeService(IntakeServiceServicer):  # type: ignore[misc]  # generated code has no types
    """Parses, asks the intake, encodes."""

    def __init__(self, dead_letters: DeadLetterStore) -> None:
        self._dead_letters = dead_letters

    async def ListDeadLetters(  # noqa: N802
        self, input_message: dead_letters_pb2.ListDeadLettersRequest
    ) -> dead_letters_pb2.ListDeadLettersResponse:
        """Answer with a page of dead letters. See `dead_letters.proto`."""
        request = input_message
        if request.state not in _STATE:
            raise InvalidArgumentError("state", f"{request.state} is not a state")
        size = read_page_size(request.page_size, default=_PAGE_DEFAULT, largest=MAX_LISTED)
        page = await self._dead_letters.list_dead_letters(
            limit=size,
            reason=request.reason or None,
            state=_STATE[request.state],
            max_payload_bytes=_read_payload_bytes(request),
            after=_read_token(request.page_token) if request.page_token else None,
        )
        return dead_letters_pb2.ListDeadLettersResponse(
            dead_letters=[_encode(letter) for letter in page],
            next_page_token=_token(page[-1]) if len(page) == size else "",
        )

    async def ReplayDeadLetters(  # noqa: N802
        self, input_message: dead_letters_pb2.ReplayDeadLettersRequest
    ) -> dead_letters_pb2.ReplayDeadLettersResponse:
        """Take dead letters through validation again. See `dead_letters.proto`."""
        report = await self._dead_letters.replay(_read_selection(input_message))
        return dead_letters_pb2.ReplayDeadLettersResponse(
            replayed=report.replayed,
            already_replayed=report.already_replayed,
            failed=report.failed,
            failures=[
                dead_letters_pb2.ReplayFailure(
                    dead_letter_id=failure.dead_letter_id,
                    reason=failure.reason,
                    detail=failure.detail,
                )
                for failure in report.failures
            ],
        )


def _read_payload_bytes(request: dead_letters_pb2.ListDeadLettersRequest) -> int:
    if not request.HasField("max_payload_bytes"):
        return _PAYLOAD_DEFAULT_BYTES
    if not 0 <= request.max_payload_bytes <= MAX_PAYLOAD_SHOWN_BYTES:
        raise InvalidArgumentError(
            "max_payload_bytes",
            f"{request.max_payload_bytes} is not within 0 to {MAX_PAYLOAD_SHOWN_BYTES}",
        )
    return request.max_payload_bytes


def _read_selection(request: dead_letters_pb2.ReplayDeadLettersRequest) -> Selection:
    ids = tuple(request.dead_letter_ids)
    if bool(ids) + bool(request.reason) + request.all_pending != 1:
        raise InvalidArgumentError(
            "dead_letter_ids", "set exactly one of dead_letter_ids, reason and all_pending"
        )
    if len(ids) > MAX_IDS:
        raise InvalidArgumentError("dead_letter_ids", f"{len(ids)} at once; at most {MAX_IDS}")
    return Selection(ids=ids or None, reason=request.reason or None)


def _token(last: DeadLetter) -> str:
    return f"{last.received_us}:{last.dead_letter_id}"


def _read_token(token: str) -> tuple[int, str]:
    received_us, _, dead_letter_id = token.partition(":")
    # Beyond 18 digits no time of ours was ever given out, and DuckDB's integers end.
    if not (received_us.isascii() and received_us.isdigit() and len(received_us) <= 18):
        raise InvalidArgumentError("page_token", "is not one that a reply gave")
    return int(received_us), dead_letter_id


def _encode(letter: DeadLetter) -> dead_letters_pb2.DeadLetter:
    message = dead_letters_pb2.DeadLetter(
        dead_letter_id=letter.dead_letter_id,
        topic=letter.topic,
        partition=letter.partition,
        offset=letter.offset,
        broker_incarnation=letter.broker_incarnation,
        payload=letter.payload or b"",
        payload_size_bytes=letter.payload_size_bytes,
        reason=letter.reason,
        detail=letter.detail,
    )
    set_time(message.received_at, letter.received_us)
    if letter.published_us is not None:
        set_time(message.published_at, letter.published_us)
    if letter.replayed_us is not None:
        set_time(message.replayed_at, letter.replayed_us)
    return message
