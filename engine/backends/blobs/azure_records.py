"""What Azure keeps beside a blob's content, in its metadata."""

import re

from azure.storage.blob import BlobProperties

from engine.backends.blobs.driver import BlobInfo
from engine.backends.blobs.errors import BlobCorruptError

_SHA256_KEY = "sha256"
_WRITE_ID_KEY = "write_id"


def write_metadata(sha256: str, write_id: str) -> dict[str, str]:
    """Return the metadata of a blob that is written."""
    return {_SHA256_KEY: sha256, _WRITE_ID_KEY: write_id}


def read_record(name: str, found: BlobProperties, size_bytes: int) -> BlobInfo:
    """Return what is known of a blob that was found.

    Raises:
      BlobCorruptError: it has no digest.
    """
    sha256 = str((found.metadata or {}).get(_SHA256_KEY, ""))
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise BlobCorruptError(name, "its metadata has no sha256, so it was written by others")
    return BlobInfo(name, size_bytes, sha256, read_etag(found.etag))


def read_etag(text: object) -> str:
    """Return an etag without the quotes that headers have around it and listings have not."""
    return str(text).strip('"')


def write_etag(etag: str) -> str:
    """Return an etag as a header has it."""
    return f'"{etag}"'


def write_id_of(found: BlobProperties) -> str | None:
    """Return the id of the writing that a blob is of."""
    return (found.metadata or {}).get(_WRITE_ID_KEY)
