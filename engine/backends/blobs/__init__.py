"""Blobs: a folder of this machine or an Azure container, and a cache of what was fetched."""

from engine.backends.blobs.cache import Artifact, ArtifactCache, open_artifact_cache
from engine.backends.blobs.driver import BlobInfo
from engine.backends.blobs.errors import (
    BlobAccessError,
    BlobChangedError,
    BlobCorruptError,
    BlobExistsError,
    BlobPreconditionError,
)
from engine.backends.blobs.opening import BlobsBackend, open_blobs
from engine.backends.blobs.store import BlobListing, BlobReader, BlobStore

__all__ = [
    "Artifact",
    "ArtifactCache",
    "BlobAccessError",
    "BlobChangedError",
    "BlobCorruptError",
    "BlobExistsError",
    "BlobInfo",
    "BlobListing",
    "BlobPreconditionError",
    "BlobReader",
    "BlobStore",
    "BlobsBackend",
    "open_artifact_cache",
    "open_blobs",
]
