"""The error tree.

Foreign errors (duckdb, redis, aiokafka, azure) are mapped to these where they enter; inside, only
these are raised. `engine.rpc` holds the one table that maps them to gRPC statuses. A message is
written for the person who can act on it: what was wrong, what was found, what to do.
"""

from collections.abc import Sequence


class TrellisError(Exception):
    """Something in Trellis failed."""


class InvalidArgumentError(TrellisError):
    """A caller's argument is not acceptable, whatever the state of the system."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


class NotFoundError(TrellisError):
    """A named thing does not exist; the message lists names that are close."""

    def __init__(self, kind: str, name: str, close: Sequence[str] = ()) -> None:
        hint = f"; close to it: {', '.join(close)}" if close else ""
        super().__init__(f"no {kind} named {name!r}{hint}")
        self.kind = kind
        self.name = name
        self.close = tuple(close)


class AlreadyExistsError(TrellisError):
    """A thing of that name exists already and differs."""


class FailedPreconditionError(TrellisError):
    """The system is not in the state the call needs; the message says what to do first."""


class StaleTokenError(FailedPreconditionError):
    """A job was taken from whoever reports on it, or has ended; the report changes nothing."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"the job {job_id} is no longer held under this token")
        self.job_id = job_id


class ResourceExhaustedError(TrellisError):
    """A limit is reached: a size, a queue, a rate."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnavailableError(TrellisError):
    """A part is down for the moment; the same call may succeed later."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BackendUnavailableError(UnavailableError):
    """Redis, Kafka or the blob store cannot be reached."""

    def __init__(self, backend: str, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"{backend} is unavailable: {detail}", retry_after_s)
        self.backend = backend
        self.detail = detail


class StartFailedError(UnavailableError):
    """A process could not be started; another try may succeed."""


class DataLossError(TrellisError):
    """What is stored is not what was written; it must not be used."""


class DeadlineExceededError(TrellisError):
    """The work did not finish within the time it was given."""


class AddressInUseError(TrellisError):
    """A server cannot have the address it is told to listen on."""


class StoreError(TrellisError):
    """The data file refused an operation."""


class SchemaMismatchError(StoreError):
    """A request's table, columns or types differ from the schema; nothing of it was written."""


class WriterClosedError(StoreError, UnavailableError):
    """The writer has stopped; nothing more is accepted."""

    def __init__(self) -> None:
        UnavailableError.__init__(self, "the writer has stopped; the engine is shutting down")


class DataFileLockedError(StoreError):
    """Another process holds the data file."""


class NewerSchemaError(StoreError):
    """The data file was written by a newer Trellis than this one."""


class DataFileFailedError(StoreError):
    """The data file can no longer be written; the engine must stop."""
