"""Which function does a type of job."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from engine.tasks.errors import PermanentJobError

BUILT_IN: Final = {
    "process_upload": "engine.tasks.process_upload:run",
    "train": "engine.tasks.train:run",
    "detect_drift": "engine.tasks.detect_drift:run",
    "score": "engine.tasks.score:run",
}
"""Functions as "module:function", by type of job."""

Handler = Callable[[Any], Mapping[str, Any] | None]
"""Is given the job's `JobContext`; what it returns, JSON will be made of."""


class HandlerTable:
    """Imports a handler's module when the first job asks for it."""

    def __init__(self, configured: Mapping[str, str]) -> None:
        self._names = {**BUILT_IN, **configured}
        self._found: dict[str, Handler] = {}

    def find(self, job_type: str) -> Handler:
        """Return the function for a type of job.

        Raises:
          PermanentJobError: no function is configured for it.
          Exception: whatever the import of its module raises.
        """
        found = self._found.get(job_type)
        if found is None:
            found = self._found[job_type] = self._load(job_type)
        return found

    def _load(self, job_type: str) -> Handler:
        name = self._names.get(job_type)
        if name is None:
            known = ", ".join(sorted(self._names))
            raise PermanentJobError(
                "unknown_job_type", f"no worker does jobs of type {job_type!r}; known: {known}"
            )
        module, _, function = name.partition(":")
        handler: Handler = getattr(importlib.import_module(module), function)
        return handler
