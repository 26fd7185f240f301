"""What a job's code is given."""

import logging
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from engine.tasks.cancel import Cancellation
from engine.tasks.hand import Callers, Job
from engine.tasks.link import EngineLink, RowsPart
from engine.tasks.model_data import NextBatch, Part, ScoredBatch, StoredPart
from engine.tasks.progress import Progress

_COUNTER_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)


class JobContext:
    """One job: its input, and its ways to the engine.

    `scratch` is a folder of the worker's own, that is removed with it; a job's code cleans up what
    it does not want the next job to find. `request_id` names the call that made the job,
    as the logs do; it is empty if none did.
    """

    def __init__(
        self,
        job: Job,
        payload: Mapping[str, Any],
        scratch: Path,
        link: EngineLink,
        progress: Progress,
        cancellation: Cancellation,
        is_to_leave: Callable[[], bool],
        act_for: Callable[[Callers], None],
    ) -> None:
        self.job_id = job.job_id
        self.job_type = job.job_type
        self.attempt = job.attempt
        self.request_id = job.request_id
        self.payload = payload
        self.scratch = scratch
        self.logger = logging.getLogger(f"job.{job.job_type}")
        self._job = job
        self._link = link
        self._progress = progress
        self._cancellation = cancellation
        self._is_to_leave = is_to_leave
        self._act_for = act_for

    @property
    def leave_requested(self) -> bool:
        """Whether the worker is to leave after this job. One that has no end of its own raises
        JobHandedBack then."""
        return self._is_to_leave()

    def advance(
        self, amount: int = 1, *, total: int | None = None, note: str | None = None
    ) -> None:
        """Say that the job has come further, which proves that it is not stuck.

        A job of a type with a stall limit calls this more often than that. It costs about a
        microsecond.

        Args:
          amount: steps done since the last call.
          total: how many steps there will be, if that is known now.
          note: what is being done, for people.
        Raises:
          JobCancelled: the job is to stop.
          TypeError, ValueError: these are no numbers of steps, or the note is no text.
        """
        self._progress.advance(amount, total, note)
        self._cancellation.check()

    def check_cancelled(self) -> None:
        """Raise JobCancelled if the job is to stop; needed only where signals are held off."""
        self._cancellation.check()

    def act_for(self, callers: Callers) -> None:
        """Say whom what is done from now on is for: log lines name them, until told otherwise."""
        self._act_for(callers)

    def count(self, name: str, amount: float = 1) -> None:
        """Add to the metric `trellis_job_counter_total` with this job's type and the name.

        It is told with the worker's next check. Attempts that fail have counted, too.

        Args:
          name: 1 to 63 lower-case letters, digits and underscores, a letter first. Names are few
            and fixed: beyond 64 of a worker, what is counted under new ones is dropped.
          amount: 0 or more.
        Raises:
          ValueError: the name or the amount is not of this kind.
        """
        if not _COUNTER_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a counter, such as rows_read")
        if not 0 <= amount < math.inf:
            raise ValueError(f"{amount!r} is no amount to count; a counter only grows")
        self._progress.count(f"{self.job_type}/{name}", amount)

    def read_upload(self, upload_id: str) -> Iterator[bytes]:
        """Yield the content of the job's uploaded file in pieces.

        Rows may be staged between two of them.

        Raises:
          RefusedError: the job is not this worker's any more, or the upload is another job's.
          EngineUnreachableError: the connection was lost.
        """
        return self._link.read_upload(self._job, upload_id)

    def stage_rows(self, upload_id: str, parts: Iterable[RowsPart]) -> None:
        """Send rows, and what was not taken, ahead: they count if, and once, the job succeeds.

        The engine keeps one part while the next is made; when this returns it has kept all.

        Args:
          parts: made as they are sent. Their rows have the schema of the table they are for.
            Whoever makes them may read the upload and call `advance`, nothing else of the engine.
        Raises:
          RefusedError: the job is not this worker's any more.
          EngineUnreachableError: the connection was lost.
          Also whatever making the parts raises; of the rows sent before, not all may be kept then.
        """
        self._link.stage_rows(self._job, upload_id, parts)

    def read_rows(self) -> Iterator[bytes]:
        """Yield the rows that the job's payload asks for, an Arrow stream, in pieces.

        Raises:
          RefusedError: the job is not this worker's any more, or is of a type without rows.
          EngineUnreachableError: the connection was lost.
        """
        return self._link.models.read_rows(self._job)

    def read_part(self, model: str, version: int, part: Part = "pipeline") -> bytes:
        """Return a part of a trained version.

        Raises:
          ArtifactError: it cannot be had, for now or at all.
          RefusedError: the job is not this worker's any more, or has no business with the version.
          EngineUnreachableError: the connection was lost.
        """
        return b"".join(self._link.models.read_part(self._job, model, version, part))

    def store_part(self, part: Part, content: Iterable[bytes]) -> StoredPart:
        """Store a part of the version that the job makes; it counts once the job succeeds.

        Raises:
          RefusedError: the job is not this worker's any more, or makes no version.
          EngineUnreachableError: the connection was lost, or the blob store is away.
        """
        return self._link.models.store_part(self._job, part, content)

    def exchange_batch(
        self, scored: ScoredBatch | None, wait_s: float, loaded: Iterable[str]
    ) -> NextBatch:
        """Deliver what came of a batch, and wait for the next one.

        Args:
          scored: None the first time, and where there was nothing to do.
          wait_s: how long to wait if there is none.
          loaded: the versions at hand, as `model/version`.
        Raises:
          RefusedError: the job is not this worker's any more.
          EngineUnreachableError: the connection was lost.
        """
        return self._link.models.exchange_batch(self._job, scored, wait_s, loaded)
