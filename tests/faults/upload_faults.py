"""Faults in the midst of an upload's processing, whose rows must land once all the same."""

import os
import random
import signal
import time
from contextlib import suppress
from typing import Final

import attrs
import trio

from tests.faults.api import Api
from tests.faults.registry import Fault, NothingToHitError, Target

_SEARCH_S: Final = 25.0
_SEARCH_PAUSE_S: Final = 0.01
_LONGEST_WAIT_S: Final = 0.5
"""About what it takes from an upload's begin to its end."""


@attrs.frozen
class UploadFault:
    """A signal to the worker that processes an upload."""

    name: str
    number: signal.Signals
    causes: frozenset[str]
    needs: frozenset[str] = frozenset()
    may_cause: frozenset[str] = frozenset()

    async def inject(self, target: Target, rng: random.Random) -> str:
        """Wait for an upload, then for a random moment, and send it."""
        wait_s = rng.uniform(0, _LONGEST_WAIT_S)
        found = await trio.to_thread.run_sync(_find_upload, target)
        if found is None:
            raise NothingToHitError("no upload was under way")
        pid, job_id = found
        await trio.sleep(wait_s)
        target.note_hit(self.name, pid, self.causes)
        with suppress(ProcessLookupError):
            os.kill(pid, self.number)
        return f"{self.number.name} to the worker {pid}, {wait_s:.2f} s into the upload {job_id}"


def _find_upload(target: Target) -> tuple[int, str] | None:
    give_up_at_s = time.monotonic() + _SEARCH_S
    known: dict[str, bool] = {}
    with Api(target) as api:
        while time.monotonic() < give_up_at_s:
            for worker in api.workers():
                job_id = worker.job_id
                if job_id and job_id not in known:
                    known[job_id] = api.get(job_id).job_type == "process_upload"
                    if known[job_id]:
                        return worker.pid, job_id
            time.sleep(_SEARCH_PAUSE_S)
    return None


FAULTS: tuple[Fault, ...] = (
    UploadFault("kill_upload", signal.SIGKILL, frozenset({"died"})),
    UploadFault("stop_upload", signal.SIGSTOP, frozenset({"silent"})),
)
