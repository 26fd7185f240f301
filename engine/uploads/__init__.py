"""Uploaded files: received whole or not at all, and counted once their job has completed."""

from engine.uploads.header import UploadHeader
from engine.uploads.lookup import RejectedRow, UploadView
from engine.uploads.receiving import UploadReceipt
from engine.uploads.staging import StagedUpload
from engine.uploads.uploads import Uploads, open_uploads

__all__ = [
    "RejectedRow",
    "StagedUpload",
    "UploadHeader",
    "UploadReceipt",
    "UploadView",
    "Uploads",
    "open_uploads",
]
