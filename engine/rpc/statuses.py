"""The one table from Trellis errors to gRPC statuses, and the texts that go with them."""

from purerpc import RpcFailedError, Status, StatusCode

from engine.errors import (
    AlreadyExistsError,
    DataFileFailedError,
    DataLossError,
    DeadlineExceededError,
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    TrellisError,
    UnavailableError,
)

_CODES: tuple[tuple[type[TrellisError], StatusCode], ...] = (
    (InvalidArgumentError, StatusCode.INVALID_ARGUMENT),
    (NotFoundError, StatusCode.NOT_FOUND),
    (AlreadyExistsError, StatusCode.ALREADY_EXISTS),
    (FailedPreconditionError, StatusCode.FAILED_PRECONDITION),
    (ResourceExhaustedError, StatusCode.RESOURCE_EXHAUSTED),
    (UnavailableError, StatusCode.UNAVAILABLE),
    (DeadlineExceededError, StatusCode.DEADLINE_EXCEEDED),
    (DataLossError, StatusCode.DATA_LOSS),
)
"""Errors that a caller can act on. All others are faults of ours and become INTERNAL."""

_DATA_FILE_FAILED = (
    "the data file cannot be written; the engine stops, and what it has not acknowledged can be "
    "sent again to the next one"
)
"""The error itself is for the operator: it names files and tells what to do about them."""

_MESSAGE_BYTES_MAX = 2_000
"""A status text travels percent-encoded, up to three times its size, in a trailer; clients refuse
trailers above 8 KiB and would then report that instead of the text."""


def status_of(error: Exception) -> Status | None:
    """Return the status a caller gets for an error, or None where the error is a fault of ours."""
    if isinstance(error, DataFileFailedError):
        return Status(StatusCode.UNAVAILABLE, _DATA_FILE_FAILED)
    for kind, code in _CODES:
        if isinstance(error, kind):
            return Status(code, cut_message(_with_retry_hint(error)))
    return None


def internal_status(error_id: str) -> Status:
    """Return the status for a fault of ours: it tells nothing but where to look."""
    return Status(
        StatusCode.INTERNAL,
        f"internal error; the engine's log tells more under error id {error_id}",
    )


def failed_with(code: StatusCode, message: str) -> RpcFailedError:
    """Return the exception that ends a call with a status."""
    return RpcFailedError(Status(code, cut_message(message)))


def cut_message(message: str) -> str:
    """Cut a text to what fits into a trailer."""
    encoded = message.encode(errors="replace")
    if len(encoded) <= _MESSAGE_BYTES_MAX:
        return encoded.decode()
    return encoded[:_MESSAGE_BYTES_MAX].decode(errors="ignore") + "…"


def _with_retry_hint(error: Exception) -> str:
    retry_after_s = getattr(error, "retry_after_s", None)
    return str(error) if retry_after_s is None else f"{error}; retry after {retry_after_s:g} s"
