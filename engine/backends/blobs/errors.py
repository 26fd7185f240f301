"""What can be wrong with a blob, apart from the store being away (`BackendUnavailableError`) and
there being none of the name (`NotFoundError`).
"""

from engine.errors import (
    AlreadyExistsError,
    DataLossError,
    FailedPreconditionError,
    NotFoundError,
    UnavailableError,
)


def blob_not_found(name: str) -> NotFoundError:
    """Return the error of a name under which nothing is stored."""
    return NotFoundError("blob", name)


class BlobExistsError(AlreadyExistsError):
    """A blob that was to be written only if absent is there already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"a blob named {name!r} exists already")
        self.name = name


class BlobPreconditionError(FailedPreconditionError):
    """A blob that was to be replaced is no longer the one the caller knew."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the blob {name!r} is not the one that was to be replaced: another writer has "
            "replaced or deleted it; read it again and decide anew"
        )
        self.name = name


class BlobChangedError(UnavailableError):
    """Another writer replaced or deleted a blob while it was read or written.

    Nothing is wrong with what is stored; the same call may succeed.
    """

    def __init__(self, name: str, doing: str) -> None:
        super().__init__(f"the blob {name!r} was changed by another writer while it was {doing}")
        self.name = name


class BlobCorruptError(DataLossError):
    """What is stored is not what was written; it must not be used."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"the blob {name!r} is corrupt: {reason}")
        self.name = name
        self.reason = reason


class BlobAccessError(FailedPreconditionError):
    """The store refuses the credentials, or lacks a container and may not make it."""
