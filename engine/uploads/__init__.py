"""Uploaded files: received whole or not at all, and counted once their job has completed."""

from engine.uploads.header import UploadHeader
from engine.uploads.lookup import RejectedRow, UploadView
from engine.uploads.receiving import UPLOAD_JOB_TYPE, UploadReceipt
from engine.uploads.rules import UploadRules, make_upload_rules
from engine.uploads.staging import StagedUpload
from engine.uploads.uploads import Uploads, open_uploads

__all__ = [
    "UPLOAD_JOB_TYPE",
    "RejectedRow",
    "StagedUpload",
    "UploadHeader",
    "UploadReceipt",
    "UploadRules",
    "UploadView",
    "Uploads",
    "make_upload_rules",
    "open_uploads",
]
