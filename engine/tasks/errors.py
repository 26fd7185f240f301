"""How a job's code says that it cannot go on, and how its end is put into words."""

import traceback
from typing import Final

import attrs

_CODE_CHARS: Final = 200
_MESSAGE_CHARS: Final = 2_000
_STACK_CHARS: Final = 16_000
_OWN_FRAMES: Final = 2
"""The runtime's frames, outermost in every traceback of a job, say nothing."""

CODE_CANCELLED: Final = "cancelled"
CODE_MEMORY: Final = "memory"


class PermanentJobError(Exception):
    """The job cannot succeed however often it is tried: its input is bad. It is not tried again."""

    def __init__(self, code: str, message: str) -> None:
        """Say why.

        Args:
          code: a short constant name, for programs.
          message: for the person who sent the job.
        """
        super().__init__(message)
        self.code = code


class JobCancelled(BaseException):
    """The job is to stop: let it pass. Not an `Exception`, so that no job takes it for its own."""


class JobHandedBack(Exception):  # noqa: N818 - as JobCancelled, no error
    """The job goes back to the queue as if it had not been begun, for whoever takes it next."""


class OutOfReachError(Exception):
    """What the job needs could not be reached just now: no fault of the job's, nor its worker's.

    An attempt that it ends is not charged, and made again later.
    """


@attrs.frozen
class Failure:
    """Why a run of a job failed. `permanent` ones are not tried again."""

    code: str
    message: str
    permanent: bool
    stack: str
    out_of_reach: bool = False
    """See `OutOfReachError`."""


def describe_failure(error: BaseException) -> Failure:
    """Return what to report of an exception that ended a job."""
    match error:
        case PermanentJobError():
            code, permanent = error.code, True
        case JobCancelled():
            code, permanent = CODE_CANCELLED, True
        case MemoryError():
            code, permanent = CODE_MEMORY, False
        case _:
            code, permanent = type(error).__name__, False
    # A job may well give a number, or an enum's member.
    code = _shorten(_text_of(code), _CODE_CHARS)
    return Failure(
        code,
        _message_of(error),
        permanent,
        _stack_of(error),
        out_of_reach=isinstance(error, OutOfReachError),
    )


def _message_of(error: BaseException) -> str:
    text = _text_of(error)
    if isinstance(error, SystemExit):
        text = f"the job left by sys.exit({text})"
    return _shorten(text or type(error).__name__, _MESSAGE_CHARS)


def _text_of(value: object) -> str:
    try:
        return str(value)
    except Exception as broken:  # noqa: BLE001 - a job's exception may be broken in any way
        return f"<{type(value).__name__} whose text cannot be had: {type(broken).__name__}>"


def _stack_of(error: BaseException) -> str:
    shown = error.__traceback__
    for _ in range(_OWN_FRAMES):
        shown = shown.tb_next if shown is not None else None
    try:
        text = "".join(traceback.format_exception(type(error), error, shown))
    except Exception as broken:  # noqa: BLE001 - as above
        text = f"<stack cannot be shown: {type(broken).__name__}>"
    return _shorten(text, _STACK_CHARS)


def _shorten(text: str, limit_chars: int) -> str:
    """Return the text without its middle if it is long: begin and end say most."""
    # What is no valid text could not be sent.
    clean = text.encode("utf-8", "backslashreplace").decode()
    if len(clean) <= limit_chars:
        return clean
    half = limit_chars // 2
    return f"{clean[:half]}\n… {len(clean) - 2 * half} characters …\n{clean[-half:]}"
