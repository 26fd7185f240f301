"""`upload`: a file whose rows become feature values."""

import hashlib
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final

import attrs
import click

from engine.cli.byte_progress import show_bytes
from engine.cli.client import open_service
from engine.cli.examples import examples
from engine.cli.job_text import show_change
from engine.cli.jobs import PORT as JOBS_PORT
from engine.cli.jobs import watch_job
from engine.cli.json_output import print_json
from engine.cli.known_names import complete_datasets
from engine.cli.options import CommonOptions, Duration, common_options
from engine.cli.running import find_engine
from engine.cli.tables import print_table
from engine.cli.times import show_time
from engine.errors import FailedPreconditionError, TrellisError
from engine.logs import escape_controls
from proto.trellis.v1.ingest_grpc import IngestServiceServicer
from proto.trellis.v1.ingest_pb2 import (
    GetUploadRequest,
    Upload,
    UploadFileRequest,
    UploadFileResponse,
    UploadHeader,
    UploadStatus,
)
from proto.trellis.v1.jobs_grpc import JobServiceServicer

_PORT: Final = "service_a"
_CHUNK_BYTES: Final = 256 * 1024
_FIXED_S: Final = 120.0
_LEAST_BYTES_PER_S: Final = 1 << 20
_STATUS_PREFIX: Final = "UPLOAD_STATUS_"


@click.command(
    "upload",
    epilog=examples(
        "upload docs/examples/profiles.csv --dataset profiles --wait",
        "upload docs/examples/profiles.csv --dataset profiles --key monday --json",
    ),
)
@common_options
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--dataset",
    required=True,
    metavar="NAME",
    shell_complete=complete_datasets,
    help="The dataset of features.yaml.",
)
@click.option("--content-type", metavar="TYPE", help="Such as text/csv; default: told from FILE.")
@click.option("--key", metavar="KEY", help="Uploads with the same key are the same upload.")
@click.option("--wait", is_flag=True, help="Wait for the outcome and show the rows not taken.")
@click.option(
    "--timeout",
    "timeout_s",
    type=Duration(),
    metavar="DURATION",
    help="When to give up sending FILE; default: after two minutes and a second for each MiB.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def upload(
    options: CommonOptions,
    /,
    *,
    file: Path,
    dataset: str,
    content_type: str | None,
    key: str | None,
    wait: bool,
    timeout_s: float | None,
    as_json: bool,
) -> None:
    """Upload the rows of FILE, which is JSON, CSV or Parquet, to a dataset.

    Done when the engine has the file on disk; its rows count when the job has succeeded. Sending
    the same file again changes nothing. With --wait the exit code is 1 when nothing of it counts.
    """
    if timeout_s is not None and timeout_s <= 0:
        raise click.UsageError("--timeout is more than 0s")
    config = options.load()
    engine = find_engine(config.paths.data)
    header = UploadHeader(
        dataset=dataset,
        filename=file.name,
        content_type=content_type or "",
        idempotency_key=key or "",
    )
    with _open(file) as content:
        sending = _Sending(file, content, header)
        if timeout_s is None:
            size_bytes = sending.size_bytes
            most_bytes = config.uploads.max_bytes
            timeout_s = sending_time_s(most_bytes if size_bytes is None else size_bytes)
        with (
            open_service(
                engine, _PORT, IngestServiceServicer, config.security, timeout_s=timeout_s
            ) as service,
            show_bytes(f"sending {file.name}", sending.size_bytes) as show,
        ):
            receipt: UploadFileResponse = service.UploadFile(sending.messages(show))
    if receipt.sha256 != sending.sha256.hexdigest() and sending.is_complete:
        raise FailedPreconditionError(
            f"the engine knows another file as this upload ({receipt.upload_id}); "
            "send this one with another --key"
        )
    if not (wait and as_json):
        _show_receipt(receipt, as_json)
    if not wait:
        return
    with open_service(engine, JOBS_PORT, JobServiceServicer, config.security) as service:
        watch_job(service, receipt.job_id, None if as_json else show_change)
    with open_service(engine, _PORT, IngestServiceServicer, config.security) as service:
        outcome: Upload = service.GetUpload(GetUploadRequest(upload_id=receipt.upload_id)).upload
    _show_outcome(outcome, as_json)
    sys.exit(0 if outcome.status == UploadStatus.UPLOAD_STATUS_COMPLETED else 1)


def sending_time_s(size_bytes: int) -> float:
    """Return how long a file may take to send, as it is for any disk and network worth the name.

    The fixed part is for an engine that has much else to write.
    """
    return _FIXED_S + size_bytes / _LEAST_BYTES_PER_S


@attrs.define
class _Sending:
    """A file on its way, and what was sent of it."""

    file: Path
    content: IO[bytes]
    header: UploadHeader
    sha256: Any = attrs.field(factory=hashlib.sha256)
    is_complete: bool = False

    @property
    def size_bytes(self) -> int | None:
        """The file's size, None if it is a pipe or the like."""
        status = os.fstat(self.content.fileno())
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def messages(self, show: Callable[[int], None]) -> Iterator[UploadFileRequest]:
        """Yield the header, then the content.

        Args:
          show: is told how many more bytes are on their way.
        Raises:
          TrellisError: the file cannot be read.
        """
        if (size_bytes := self.size_bytes) is not None:
            self.header.size_bytes = size_bytes
        yield UploadFileRequest(header=self.header)
        while chunk := self._read():
            self.sha256.update(chunk)
            yield UploadFileRequest(chunk=chunk)
            show(len(chunk))
        self.is_complete = True

    def _read(self) -> bytes:
        try:
            return self.content.read(_CHUNK_BYTES)
        except OSError as error:
            raise _unreadable(self.file, error) from error


def _open(file: Path) -> IO[bytes]:
    try:
        return file.open("rb")
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: OSError) -> TrellisError:
    return TrellisError(f"{file} cannot be read: {error.strerror}")


def _show_receipt(receipt: UploadFileResponse, as_json: bool) -> None:
    if as_json:
        facts = {
            "upload_id": receipt.upload_id,
            "job_id": receipt.job_id,
            "size_bytes": receipt.size_bytes,
            "sha256": receipt.sha256,
            "duplicate": receipt.duplicate,
            "received_at": show_time(receipt.received_at),
        }
        print_json(facts)
        return
    known = ", known already" if receipt.duplicate else ""
    click.echo(
        f"upload {receipt.upload_id}: {receipt.size_bytes:,} bytes{known}, job {receipt.job_id}"
    )


def _show_outcome(outcome: Upload, as_json: bool) -> None:
    if as_json:
        print_json(_describe(outcome))
        return
    status = _status(outcome)
    click.echo(
        f"{status}: {outcome.rows_accepted:,} rows taken, {outcome.rows_rejected:,} rejected"
    )
    if outcome.error_code:
        click.echo(f"  {escape_controls(f'{outcome.error_code}: {outcome.error}')}")
    if outcome.rejects:
        click.echo()
        print_table(
            ("row", "column", "reason", "detail", "found"),
            [(r.row, r.column, r.reason, r.detail, r.excerpt) for r in outcome.rejects],
        )


def _status(outcome: Upload) -> str:
    return UploadStatus.Name(outcome.status).removeprefix(_STATUS_PREFIX).lower()


def _describe(outcome: Upload) -> dict[str, Any]:
    return {
        "upload_id": outcome.upload_id,
        "dataset": outcome.dataset,
        "filename": outcome.filename,
        "size_bytes": outcome.size_bytes,
        "sha256": outcome.sha256,
        "received_at": show_time(outcome.received_at),
        "status": _status(outcome),
        "job_id": outcome.job_id,
        "rows_accepted": outcome.rows_accepted,
        "rows_rejected": outcome.rows_rejected,
        "error_code": outcome.error_code or None,
        "error": outcome.error or None,
        "finished_at": show_time(outcome.finished_at) if outcome.HasField("finished_at") else None,
        "rejects": [
            {
                "row": reject.row,
                "column": reject.column or None,
                "reason": reject.reason,
                "detail": reject.detail,
                "excerpt": reject.excerpt,
            }
            for reject in outcome.rejects
        ],
    }
