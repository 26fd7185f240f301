"""What can keep a row from its score."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from engine.errors import (
    DataLossError,
    FailedPreconditionError,
    TrellisError,
    UnavailableError,
)
from engine.serving.rows import VersionKey

_RETRY_AFTER_S: Final = 1.0

CORRUPT: Final = "artifact_corrupt"
REFUSED_CODES: Final = frozenset(
    {
        CORRUPT,
        "artifact_too_large",
        "malformed_artifact",
        "tampered_artifact",
        "untrusted_artifact",
    }
)
"""Of artifacts that are not what was registered."""

VERSION_CODES: Final = REFUSED_CODES | {
    "artifact_missing",
    "artifact_unavailable",
    "other_library",
    "schema_mismatch",
}
"""Of errors that concern a version, not the rows of a batch."""


MakeError = Callable[[], TrellisError]
"""Makes an error: each caller gets one of its own, since raising it leaves traces in it."""


class ScoringFailedError(TrellisError):
    """A version fails on a row."""


def _unavailable(message: str) -> UnavailableError:
    return UnavailableError(message, _RETRY_AFTER_S)


_ERRORS: Final[Mapping[str, Callable[[str], TrellisError]]] = MappingProxyType(
    {
        **dict.fromkeys(REFUSED_CODES, DataLossError),
        "artifact_missing": _unavailable,
        "artifact_unavailable": _unavailable,
        "other_library": FailedPreconditionError,
        "schema_mismatch": FailedPreconditionError,
    }
)


def error_of(key: VersionKey, code: str, message: str) -> TrellisError:
    """Return what callers are told when a worker reports an error."""
    model, version = key
    make = _ERRORS.get(code, ScoringFailedError)
    return make(f"version {version} of {model!r} cannot score: {code}: {message}")


def no_worker_in_time(timeout_s: float, workers: int) -> TrellisError:
    """Return what a caller is told who has waited for as long as anybody may."""
    return _unavailable(
        f"no worker has scored this within {timeout_s:g} s; {workers} score at the moment"
    )


def lost_too_often(key: VersionKey, attempts: int) -> TrellisError:
    """Return what the caller of a row is told with which worker after worker was lost."""
    model, version = key
    return _unavailable(
        f"{attempts} workers in a row were lost while version {version} of {model!r} scored this"
    )


def no_number(key: VersionKey) -> TrellisError:
    """Return what the caller of a row is told whose score is none."""
    model, version = key
    return FailedPreconditionError(
        f"version {version} of {model!r} makes no number of this: values of its features are too "
        "large to be added up; look at them with GetFeatures"
    )
