"""Which names blobs may have: those that every store and file system spells alike."""

import re

from engine.errors import InvalidArgumentError

MAX_NAME_CHARS = 200
"""As a file name below the 255 bytes of Linux and macOS, and far below Azure's 1,024."""

# Lower case only: some file systems do not tell the cases apart. No segment begins with a dot (so
# that there is no `..`, and nothing hidden) nor ends with one (which Windows and Azure cut off).
_SEGMENT = r"[a-z0-9_-](?:[a-z0-9._-]*[a-z0-9_-])?"
_NAME = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
_PREFIX = re.compile(r"(?:[a-z0-9_-][a-z0-9._/-]*)?")
_ALLOWED = (
    f"1 to {MAX_NAME_CHARS} lower-case letters, digits and ._-/ without a dot or nothing at either "
    "end of what stands between slashes"
)


def check_name(name: str) -> str:
    """Return the name if a blob may have it.

    Raises:
      InvalidArgumentError: it may not; says which names are allowed.
    """
    if len(name) > MAX_NAME_CHARS or not _NAME.fullmatch(name):
        raise InvalidArgumentError("blob name", f"found {name[:300]!r}; allowed: {_ALLOWED}")
    return name


def check_prefix(prefix: str) -> str:
    """Return the text if names of blobs may begin with it; an empty one fits all.

    Raises:
      InvalidArgumentError: none can.
    """
    if len(prefix) > MAX_NAME_CHARS or not _PREFIX.fullmatch(prefix):
        raise InvalidArgumentError("blob prefix", f"found {prefix[:300]!r}; names are {_ALLOWED}")
    return prefix
