"""The call that is being answered, as the log has it: set where calls come in."""

import itertools
import secrets
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Final

REQUEST_ID: Final[ContextVar[str]] = ContextVar("request_id", default="")
"""Empty where there is no call. Trio hands it on to the tasks that a call starts."""

_prefix: Final = secrets.token_hex(4)  # tells the calls of this process from those of others
_numbers: Final = itertools.count(1)


def make_request_id() -> str:
    """Return a new id: of a call that brought none, or of what the engine begins by itself."""
    return f"{_prefix}-{next(_numbers)}"


def name_callers(
    request_ids: Sequence[str], trace_ids: Sequence[str]
) -> dict[str, str | Sequence[str]]:
    """Return what a line of the log says of the calls that it is about, which may be several."""
    named: dict[str, str | Sequence[str]] = {}
    for name, ids in (("request_id", request_ids), ("trace_id", trace_ids)):
        if len(ids) == 1:
            named[name] = ids[0]
        elif ids:
            named[f"{name}s"] = ids
    return named
