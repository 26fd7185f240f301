"""Blobs in a container of Azure Blob Storage.

A blob of one block is put by one request. A larger one is staged block by block, which nobody sees,
and committed by one. Uncommitted blocks are Azure's to remove, after a week. Digest and an id of
the writing are the blob's metadata; by the id a commit whose answer was lost is recognised.
"""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import trio
from azure.core import MatchConditions
from azure.storage.blob import BlobBlock, BlobClient, BlobProperties, ContainerClient

from engine.backends.blobs.azure_calls import AzureCalls
from engine.backends.blobs.azure_client import BLOCK_BYTES
from engine.backends.blobs.azure_failures import Failure, FailureKind
from engine.backends.blobs.azure_records import (
    read_etag,
    read_record,
    write_etag,
    write_id_of,
    write_metadata,
)
from engine.backends.blobs.driver import BlobInfo, BlobPage, PutCondition
from engine.backends.blobs.errors import (
    BlobChangedError,
    BlobCorruptError,
    BlobExistsError,
    BlobPreconditionError,
    blob_not_found,
)
from engine.errors import BackendUnavailableError, TrellisError

T = TypeVar("T")


class AzureDriver:
    """Keeps blobs in one container, which it makes if it is missing and may be made."""

    block_bytes = BLOCK_BYTES

    def __init__(self, client: ContainerClient, calls: AzureCalls, *, may_create: bool) -> None:
        self._client = client
        self._calls = calls
        self._may_create = may_create

    @asynccontextmanager
    async def open_upload(
        self, name: str, condition: PutCondition
    ) -> AsyncIterator["_AzureUpload"]:
        await trio.lowlevel.checkpoint()
        yield _AzureUpload(self, name, condition)

    async def open_download(self, name: str) -> "_AzureDownload":
        blob = self.blob_client(name)
        first = await self.call(lambda: _read_first(name, blob))
        if isinstance(first, Failure) and first.kind is FailureKind.RANGE:
            # An empty blob has no first byte to ask for.
            return _AzureDownload(self, await self.head(name), b"")
        if isinstance(first, Failure):
            raise self.explain(first, name)
        return _AzureDownload(self, *first)

    async def head(self, name: str) -> BlobInfo:
        blob = self.blob_client(name)
        found = await self.call(blob.get_blob_properties)
        if isinstance(found, Failure):
            raise self.explain(found, name)
        return read_record(name, found, found.size)

    async def list_page(self, prefix: str, token: str | None, limit: int) -> BlobPage:
        page = await self.call(lambda: _read_page(self._client, prefix, token, limit))
        if isinstance(page, Failure):
            raise page.to_error()
        return page

    async def delete(self, name: str) -> None:
        blob = self.blob_client(name)
        # With its snapshots, if somebody made any, without which it cannot be deleted.
        gone = await self.call(lambda: blob.delete_blob(delete_snapshots="include"))
        if isinstance(gone, Failure) and gone.kind is not FailureKind.NO_BLOB:
            raise gone.to_error()

    async def probe(self) -> str:
        """Return what there is to say of a container that can be read.

        Raises:
          BackendUnavailableError: it cannot; says why.
        """
        try:
            # Not the container's properties: a SAS token for its blobs does not allow those.
            await self.list_page("", None, 1)
        except BackendUnavailableError:
            raise
        except TrellisError as error:
            raise BackendUnavailableError("blobs", str(error)) from error
        return f"answers at {self._calls.address}"

    def blob_client(self, name: str) -> BlobClient:
        return self._client.get_blob_client(name)

    async def call(self, request: Callable[[], T]) -> T | Failure:
        """Make a request, and the container if that is what it lacks."""
        result = await self._calls.call(request)
        if (
            not isinstance(result, Failure)
            or result.kind is not FailureKind.NO_CONTAINER
            or not self._may_create
        ):
            return result
        made = await self._calls.call(self._client.create_container)
        if isinstance(made, Failure) and made.kind is not FailureKind.EXISTS:
            return result if made.kind is FailureKind.DENIED else made
        return await self._calls.call(request)

    def explain(self, failure: Failure, name: str) -> TrellisError:
        """Return the error of a failed request for a blob."""
        if failure.kind is FailureKind.NO_BLOB:
            return blob_not_found(name)
        return failure.to_error()


class _AzureUpload:
    def __init__(self, driver: AzureDriver, name: str, condition: PutCondition) -> None:
        self._driver = driver
        self._name = name
        self._condition = condition
        self._blob = driver.blob_client(name)
        self._write_id = secrets.token_hex(16)
        self._staged: list[str] = []
        self._pending: bytes | None = None  # kept back, in case it is the only one

    async def write(self, block: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if self._pending is not None:
            await self._stage(self._pending)
        self._pending = block

    async def _stage(self, block: bytes) -> None:
        # All ids of a blob must be of one length, also those of other writers of it.
        block_id = f"{self._write_id}-{len(self._staged):06d}"
        staged = await self._driver.call(
            lambda: self._blob.stage_block(block_id, block, validate_content="md5")
        )
        if isinstance(staged, Failure):
            raise self._explain(staged)
        self._staged.append(block_id)

    async def commit(self, sha256: str, size_bytes: int) -> BlobInfo:
        metadata = write_metadata(sha256, self._write_id)
        options: dict[str, Any] = {"metadata": metadata, **_conditions(self._condition)}
        pending = self._pending or b""
        if self._staged:
            await self._stage(pending)
            blocks = [BlobBlock(block_id=block_id) for block_id in self._staged]
            written = await self._driver.call(
                lambda: self._blob.commit_block_list(blocks, **options)
            )
        else:
            written = await self._driver.call(
                lambda: self._blob.upload_blob(
                    pending, overwrite=True, validate_content="md5", **options
                )
            )
        if isinstance(written, Failure):
            etag = await self._find_own_etag()
            if etag is None:
                raise self._explain(written)
        else:
            etag = read_etag(written["etag"])
        return BlobInfo(self._name, size_bytes, sha256, etag)

    async def _find_own_etag(self) -> str | None:
        """Return the etag if the blob is ours: then a first attempt did it, its answer lost."""
        found = await self._driver.call(self._blob.get_blob_properties)
        if isinstance(found, Failure) or write_id_of(found) != self._write_id:
            return None
        return read_etag(found.etag)

    def _explain(self, failure: Failure) -> TrellisError:
        if failure.kind is FailureKind.EXISTS and self._condition.if_absent:
            return BlobExistsError(self._name)
        if self._condition.if_etag is not None and failure.kind in {
            FailureKind.CONDITION,
            FailureKind.NO_BLOB,
        }:
            return BlobPreconditionError(self._name)
        if failure.kind in {
            FailureKind.BLOCKS_GONE,
            FailureKind.EXISTS,
            FailureKind.CONDITION,
        }:
            return BlobChangedError(self._name, "written")
        return failure.to_error()


class _AzureDownload:
    def __init__(self, driver: AzureDriver, info: BlobInfo, first: bytes) -> None:
        self._driver = driver
        self._blob = driver.blob_client(info.name)
        self._first: bytes | None = first
        self.info = info

    async def read(self, offset: int, size_bytes: int) -> bytes:
        if offset == 0 and self._first is not None:
            first, self._first = self._first, None
            await trio.lowlevel.checkpoint()
            return first
        part = await self._driver.call(
            lambda: self._blob.download_blob(
                offset,
                size_bytes,
                etag=write_etag(self.info.etag),
                match_condition=MatchConditions.IfNotModified,
            ).readall()
        )
        if isinstance(part, Failure):
            if part.kind in {FailureKind.CONDITION, FailureKind.NO_BLOB}:
                raise BlobChangedError(self.info.name, "read")
            if part.kind is FailureKind.RANGE:
                return b""
            raise part.to_error()
        return part

    def close(self) -> None:
        self._first = None


def _read_first(name: str, blob: BlobClient) -> tuple[BlobInfo, bytes]:
    download = blob.download_blob(0, BLOCK_BYTES)
    total = str(download.properties.content_range).rpartition("/")[2]
    return read_record(name, download.properties, int(total)), download.readall()


def _read_page(client: ContainerClient, prefix: str, token: str | None, limit: int) -> BlobPage:
    pages: Any = client.list_blobs(  # typed as an iterator, which has no continuation_token
        name_starts_with=prefix or None, include=["metadata"], results_per_page=limit
    ).by_page(token)
    blobs = []
    found: BlobProperties
    for found in next(pages, ()):
        try:
            blobs.append(read_record(str(found.name), found, found.size))
        except BlobCorruptError:
            continue  # not ours
    return BlobPage(blobs, pages.continuation_token or None)


def _conditions(condition: PutCondition) -> dict[str, Any]:
    if condition.if_absent:
        return {"match_condition": MatchConditions.IfMissing}
    if condition.if_etag is not None:
        return {
            "etag": write_etag(condition.if_etag),
            "match_condition": MatchConditions.IfNotModified,
        }
    return {}
