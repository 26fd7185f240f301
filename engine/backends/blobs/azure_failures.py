"""What the Azure client raises, boiled down to facts that hold no secret.

Its errors quote URLs (whose query may be a SAS token) and bodies of whatever answered. They are
turned into a `Failure` in the thread they occur in, and neither they nor their tracebacks leave it.
"""

import enum
import re

import attrs
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from engine.backends.blobs.errors import BlobAccessError
from engine.backends.failures import describe_connection_failure
from engine.errors import BackendUnavailableError, TrellisError

_MOST_RETRY_AFTER_S = 3600.0
_CODE = re.compile(r"[A-Za-z0-9]{1,64}")


class FailureKind(enum.Enum):
    """What follows from a failure."""

    TRANSIENT = "the same request may succeed later"
    NO_BLOB = "there is no such blob"
    NO_CONTAINER = "there is no such container"
    EXISTS = "there is one already"
    CONDITION = "the condition of the request does not hold"
    RANGE = "the blob ends before the range"
    BLOCKS_GONE = "another writer's commit has swept the uncommitted blocks"
    DENIED = "the credentials do not allow it"
    REFUSED = "the request itself is refused"


@attrs.frozen
class Failure:
    """One failed request, in words that may be shown."""

    kind: FailureKind
    detail: str
    retry_after_s: float | None = None

    def to_error(self) -> TrellisError:
        """Return the error of a failure that says nothing about the blob in question."""
        if self.kind in {FailureKind.DENIED, FailureKind.NO_CONTAINER}:
            return BlobAccessError(self.detail)
        return BackendUnavailableError("blobs", self.detail, self.retry_after_s)


_BY_CODE = {
    "ContainerNotFound": FailureKind.NO_CONTAINER,
    "ContainerBeingDeleted": FailureKind.TRANSIENT,
    "BlobAlreadyExists": FailureKind.EXISTS,
    "ContainerAlreadyExists": FailureKind.EXISTS,
    "InvalidBlockList": FailureKind.BLOCKS_GONE,
    "InvalidBlobOrBlock": FailureKind.BLOCKS_GONE,
    # Of the digest that goes with every block: it was damaged on its way.
    "Md5Mismatch": FailureKind.TRANSIENT,
    # A lease is somebody's intent that nobody else writes; no condition of ours.
    "LeaseIdMissing": FailureKind.REFUSED,
}
_BY_STATUS = {
    401: FailureKind.DENIED,
    403: FailureKind.DENIED,
    404: FailureKind.NO_BLOB,
    408: FailureKind.TRANSIENT,
    412: FailureKind.CONDITION,
    416: FailureKind.RANGE,
    429: FailureKind.TRANSIENT,
}


def classify(error: AzureError | ValueError, address: str, timeout_s: float) -> Failure:
    """Say what a failed request means.

    Args:
      address: what to call the store; holds no secret.
      timeout_s: how long one request may take.
    """
    status = error.status_code if isinstance(error, HttpResponseError) else None
    if status is None or not isinstance(error, HttpResponseError):
        return _without_answer(error, address, timeout_s)
    code = _code_of(error)
    answer = f"{status} {code}".strip()
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status)
    if kind is None:
        kind = FailureKind.TRANSIENT if status >= 500 else FailureKind.REFUSED
    if kind is FailureKind.DENIED:
        return Failure(
            kind,
            f"the credentials are refused at {address} ({answer}); check "
            "blobs.connection_string or the machine's identity (a token that has expired, lacks a "
            "permission, or meets a wrong clock is refused alike)",
        )
    if kind is FailureKind.NO_CONTAINER:
        return Failure(
            kind,
            f"there is no container at {address} and it may not be made; make it, or set "
            "blobs.create_container with credentials that allow it",
        )
    return Failure(kind, f"the answer was {answer} at {address}", _retry_after_s(error))


def _without_answer(error: Exception, address: str, timeout_s: float) -> Failure:
    if isinstance(error, ClientAuthenticationError):
        return Failure(
            FailureKind.DENIED,
            f"there is nothing to sign requests to {address} with: the account key is no base64, "
            "or the machine has no identity",
        )
    if isinstance(error, ValueError):
        return Failure(FailureKind.TRANSIENT, f"what answers at {address} is no blob storage")
    # The client raises its own error apart from the one it was caused by.
    origin = getattr(error, "inner_exception", None) or error
    return Failure(FailureKind.TRANSIENT, describe_connection_failure(origin, address, timeout_s))


def _code_of(error: HttpResponseError) -> str:
    code = getattr(error, "error_code", None)
    text = str(getattr(code, "value", code) or "")
    return text if _CODE.fullmatch(text) else ""


def _retry_after_s(error: HttpResponseError) -> float | None:
    # The response's class depends on how the client was made; all have their headers so.
    headers = getattr(error.response, "headers", None) or {}
    text = str(headers.get("Retry-After", ""))
    return min(float(text), _MOST_RETRY_AFTER_S) if re.fullmatch(r"[0-9]{1,9}", text) else None
