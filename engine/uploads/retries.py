"""Whether a failed upload may be processed once more: not after it was sent again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.errors import FailedPreconditionError
from engine.jobs import RetriedJob
from engine.records import Operation, Upsert
from engine.store.queries import load_queries
from engine.uploads.key_locks import KeyLocks
from engine.uploads.keys import key_of_successor
from engine.uploads.payload import read_upload_id
from engine.uploads.ports import RowReader

_QUERIES = load_queries("engine.uploads")
_COLUMNS = ("upload_id", "status", "error_code", "error", "finished_at")


class UploadRetries:
    """The hook of the job type for runs that begin again; see `engine.jobs.hooks`.

    Of a file that has failed, either the upload is processed once more or the file is taken in
    anew. Both look at the same keys, and hold them until what they decide is on disk; so its rows
    cannot count twice.
    """

    def __init__(self, reader: RowReader, locks: KeyLocks) -> None:
        self._reader = reader
        self._locks = locks

    @asynccontextmanager
    async def begin_again(self, job: RetriedJob) -> AsyncIterator[tuple[Operation, ...]]:
        """Provide what makes an upload one that is being processed.

        Raises:
          FailedPreconditionError: the file was sent again; names the upload that it came as.
        """
        upload_id = read_upload_id(job.payload_json)
        owned = await self._reader.fetch_rows(_QUERIES["fetch_keys"], {"upload_id": upload_id})
        # A key that is lost while this waits is lost to a successor, which is looked for then.
        async with self._locks.hold([key for (key,) in owned]):
            found = await self._reader.fetch_rows(
                _QUERIES["find_by_key"], {"key": key_of_successor(upload_id)}
            )
            if found:
                successor, successor_job = found[0][:2]
                raise FailedPreconditionError(
                    f"the upload {upload_id} was sent again as {successor}, whose rows would count "
                    f"twice; retry the job {successor_job} of that one if it has failed"
                )
            yield (Upsert("uploads", _COLUMNS, [(upload_id, "RECEIVED", None, None, None)]),)
