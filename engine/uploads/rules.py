"""What the jobs must know of uploads before they begin."""

from collections.abc import Mapping

import attrs

from engine.jobs import JobHooks
from engine.uploads.endings import UploadEndings
from engine.uploads.key_locks import KeyLocks
from engine.uploads.ports import RowReader
from engine.uploads.receiving import UPLOAD_JOB_TYPE
from engine.uploads.retries import UploadRetries


@attrs.frozen
class UploadRules:
    """Made before the jobs, which run the hooks, and the uploads, which share the locks."""

    hooks: Mapping[str, JobHooks]
    locks: KeyLocks


def make_upload_rules(reader: RowReader) -> UploadRules:
    """Return the rules of one data file."""
    locks = KeyLocks()
    endings = UploadEndings(reader)
    hooks = JobHooks(
        complete=endings.complete,
        fail=endings.fail,
        retry=UploadRetries(reader, locks).begin_again,
    )
    return UploadRules({UPLOAD_JOB_TYPE: hooks}, locks)
