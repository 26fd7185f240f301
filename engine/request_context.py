"""The call that is being answered, as the log has it: set where calls come in."""

from contextvars import ContextVar
from typing import Final

REQUEST_ID: Final[ContextVar[str]] = ContextVar("request_id", default="")
"""Empty where there is no call. Trio hands it on to the tasks that a call starts."""
