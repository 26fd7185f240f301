"""What the jobs must know of uploads before they begin."""

from collections.abc import Mapping
from pathlib import Path

import attrs

from engine.jobs import JobHooks
from engine.uploads.endings import UploadEndings
from engine.uploads.key_locks import KeyLocks
from engine.uploads.ports import RowReader
from engine.uploads.receiving import UPLOAD_JOB_TYPE
from engine.uploads.retries import UploadRetries
from engine.uploads.staging import StagedRows


@attrs.frozen
class UploadRules:
    """Made before the jobs, which run the hooks, and the uploads, which share the rest."""

    hooks: Mapping[str, JobHooks]
    locks: KeyLocks
    staged: StagedRows


def make_upload_rules(reader: RowReader, folder: Path) -> UploadRules:
    """Return the rules of one data file.

    Args:
      folder: where rows wait for the end of their job, in files without names.
    """
    locks = KeyLocks()
    staged = StagedRows(folder)
    endings = UploadEndings(reader, staged)
    hooks = JobHooks(
        complete=endings.complete,
        fail=endings.fail,
        retry=UploadRetries(reader, locks).begin_again,
    )
    return UploadRules({UPLOAD_JOB_TYPE: hooks}, locks, staged)
