"""What a call is called: by its caller, or by us."""

import re
from collections.abc import Iterable
from typing import Final

from engine.request_context import REQUEST_ID, make_request_id

METADATA_NAME: Final = "x-request-id"
_GIVEN: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def begin_request(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """Return the id of the call that begins, and make it the current one.

    It is the one the caller gave as `x-request-id`, if that is 1 to 64 letters, digits and `._:-`,
    else a new one. There is nothing to undo: every call has a context of its own.

    Args:
      metadata: the caller's, names in lower case.
    """
    given = (str(value) for name, value in metadata if name == METADATA_NAME)
    request_id = next((value for value in given if _GIVEN.fullmatch(value)), None)
    if request_id is None:
        request_id = make_request_id()
    REQUEST_ID.set(request_id)
    return request_id


def current_request_id() -> str:
    """Return the id of the call that the caller of this is part of, as the log has it.

    It is empty where there was no call.
    """
    return REQUEST_ID.get()
