"""`trellis.v1.BackupService`: holding checkpoints off while the data file is copied."""

from typing import Final, Protocol

from engine.store.checkpoint_hold import LEASE_S
from engine.store.snapshot import Snapshot
from proto.trellis.v1 import backup_pb2 as pb
from proto.trellis.v1.backup_grpc import BackupServiceServicer

# ruff: noqa: N802 - the methods are named by the API

_LEASE_MS: Final = int(LEASE_S * 1_000)


class Hold(Protocol):
    """What keeps checkpoints off."""

    def keep(self, holder: str) -> None:
        """Begin the lease anew."""

    def end(self, holder: str) -> None:
        """Let checkpoints go on."""


class SnapshotSource(Protocol):
    """What the service needs of the store's writer."""

    @property
    def checkpoint_hold(self) -> Hold:
        """Who holds checkpoints off."""

    async def begin_snapshot(self) -> Snapshot:
        """Hold checkpoints off, and describe the file as of a commit."""


class BackupService(BackupServiceServicer):  # type: ignore[misc]  # generated code has no types
    """Parses, asks the writer, encodes."""

    def __init__(self, source: SnapshotSource) -> None:
        self._source = source

    async def BeginBackup(self, input_message: pb.BeginBackupRequest) -> pb.BeginBackupResponse:
        """Hold checkpoints off. See `backup.proto`."""
        snapshot = await self._source.begin_snapshot()
        return pb.BeginBackupResponse(
            backup_id=snapshot.backup_id,
            lease_ms=_LEASE_MS,
            data_file=str(snapshot.path),
            data_bytes=snapshot.data_bytes,
            wal_bytes=snapshot.wal_bytes,
            commit_seq=snapshot.commit_seq,
            row_counts=snapshot.row_counts,
        )

    async def KeepBackup(self, input_message: pb.KeepBackupRequest) -> pb.KeepBackupResponse:
        """Go on holding. See `backup.proto`."""
        self._source.checkpoint_hold.keep(input_message.backup_id)
        return pb.KeepBackupResponse()

    async def EndBackup(self, input_message: pb.EndBackupRequest) -> pb.EndBackupResponse:
        """Let go. See `backup.proto`."""
        self._source.checkpoint_hold.end(input_message.backup_id)
        return pb.EndBackupResponse()
