"""Uploaded files: from bytes of any shape to rows of a declared dataset, and rejects with reasons.

Nothing here knows of jobs or of the engine. Files are read as streams and memory is bounded,
whatever they hold: a row that cannot be taken is set aside alone, a file that cannot be read is
refused with a message for the person who sent it.
"""

from engine.tasks.parsing.batches import Batch
from engine.tasks.parsing.dataset import Dataset
from engine.tasks.parsing.formats import Format
from engine.tasks.parsing.refusals import Reason, Refusal, RefusedFileError, Reject
from engine.tasks.parsing.tally import Tally
from engine.tasks.parsing.times import TimeRules
from engine.tasks.parsing.upload import ParsedUpload, open_upload

__all__ = [
    "Batch",
    "Dataset",
    "Format",
    "ParsedUpload",
    "Reason",
    "Refusal",
    "RefusedFileError",
    "Reject",
    "Tally",
    "TimeRules",
    "open_upload",
]
