"""Small files that are their owner's alone, whatever lies where they go."""

import os
import pwd
from pathlib import Path

from engine.errors import FailedPreconditionError


def write_private(path: Path, text: str) -> None:
    """Put a file where `path` is: whole or not at all, and never readable by others.

    What is at `path` or beside it is replaced, not followed if it is a link.

    Args:
      text: ASCII.
    Raises:
      FailedPreconditionError: the folder takes no file.
    """
    draft = path.with_name(f"{path.name}.tmp")
    try:
        draft.unlink(missing_ok=True)
        # Never readable by others, not even before a chmod.
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
        draft.replace(path)
    except OSError as error:
        raise FailedPreconditionError(f"cannot write {path}: {error.strerror}") from error


def refuse_as_administrator(folder: Path) -> None:
    """Keep the administrator from working in a data folder of another user.

    What is made there is its maker's alone, so its owner's engine could never start again.

    Args:
      folder: need not exist.
    Raises:
      FailedPreconditionError: this is the administrator, and `folder` is of somebody else.
    """
    try:
        owner = folder.stat().st_uid
    except OSError:
        return  # it is made, or what keeps it from being read is told, when it is needed
    if os.geteuid() != 0 or owner == 0:
        return
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = f"#{owner}"
    raise FailedPreconditionError(
        f"{folder} belongs to the user {name}, who could not read what root writes there; "
        f"run this as that user: sudo -u '{name}' ..."
    )
