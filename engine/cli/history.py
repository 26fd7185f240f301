"""`history`: events and predictions of any age, and the archives that hold the old ones."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from engine.cli.client import open_service
from engine.cli.entity_keys import ENTITY_KEY
from engine.cli.history_file import write_parquet
from engine.cli.history_text import print_archives, print_json_lines, print_rows
from engine.cli.options import CommonOptions, Duration, common_options
from engine.cli.row_progress import show_rows
from engine.cli.running import find_engine
from engine.cli.times import to_timestamp
from proto.trellis.v1.history_grpc import HistoryServiceServicer
from proto.trellis.v1.history_pb2 import (
    Archive,
    HistoryTable,
    ListArchivesRequest,
    ListArchivesResponse,
    ReadHistoryRequest,
    ReadHistoryResponse,
)

_PORT: Final = "service_a"
_PAGE_SIZE: Final = 500
_SHOWN: Final = 50
_TIMEOUT: Final = "1h"
_ARCHIVES: Final = "archives"
_TABLES: Final = {
    "events": HistoryTable.HISTORY_TABLE_EVENTS,
    "predictions": HistoryTable.HISTORY_TABLE_PREDICTIONS,
}


@click.command(
    "history",
    epilog="Example: python main.py history events --user 42 --from 2025-01-01 --until 2025-02-01",
)
@common_options
@click.argument("what", type=click.Choice([*_TABLES, _ARCHIVES]))
@click.option(
    "--user",
    "--entity",
    "entity_key",
    type=ENTITY_KEY,
    metavar="KEY",
    help="Only rows of this one.",
)
@click.option(
    "--from", "from_time", metavar="TIME", help="ISO 8601; only rows of this time or later."
)
@click.option("--until", "until_time", metavar="TIME", help="ISO 8601; only rows before this time.")
@click.option(
    "--limit",
    type=click.IntRange(1, 2**63 - 2),
    metavar="N",
    help="At most N; of rows the oldest, of archives the latest. Default: 50, and all with --json "
    "or --parquet.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=Duration(),
    default=_TIMEOUT,
    show_default=True,
    metavar="DURATION",
    help="When to give up.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; of rows one object a line.")
@click.option(
    "--parquet",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the rows to FILE, which is replaced when all of them are there.",
)
@click.pass_obj
def history(
    options: CommonOptions,
    /,
    *,
    what: str,
    entity_key: int | None,
    from_time: str | None,
    until_time: str | None,
    limit: int | None,
    timeout_s: float,
    as_json: bool,
    parquet: Path | None,
) -> None:
    """Show events or predictions of any age, the oldest first, or list the archives.

    Rows that retention has moved to archives in the blob store are read together with those of the
    data file. TIME is UTC without an offset. What stands before an error is not the whole answer.
    """
    if as_json and parquet is not None:
        raise click.UsageError("give --json or --parquet, not both")
    if what == _ARCHIVES and (entity_key, from_time, until_time, parquet) != (None,) * 4:
        raise click.UsageError(
            "--user, --from, --until and --parquet go with events and predictions"
        )
    if timeout_s <= 0:
        raise click.UsageError("--timeout is more than 0s")
    request = ReadHistoryRequest(
        table=_TABLES.get(what),
        entity_key=entity_key,
        from_time=None if from_time is None else to_timestamp(from_time, "--from"),
        until_time=None if until_time is None else to_timestamp(until_time, "--until"),
    )
    config = options.load()
    with open_service(
        find_engine(config.paths.data),
        _PORT,
        HistoryServiceServicer,
        config.security,
        timeout_s=timeout_s,
    ) as service:
        if what == _ARCHIVES:
            most = limit or (None if as_json else _SHOWN)
            print_archives(_list_archives(service, most), as_json)
            return
        request.limit = limit or 0
        if as_json:
            print_json_lines(_read(service, request, "reading"))
        elif parquet is not None:
            count = write_parquet(parquet, what, _read(service, request, str(parquet)))
            click.echo(f"{parquet}: {count:,} rows")
        else:
            shown = limit or _SHOWN
            request.limit = shown + 1  # to know whether there are more
            print_rows(_read(service, request, "reading"), shown)


def _read(service: Any, request: ReadHistoryRequest, label: str) -> Iterator[ReadHistoryResponse]:
    """Yield the answer's messages; a bar on a terminal tells how far they are."""
    replies: Iterator[ReadHistoryResponse] = service.ReadHistory(request)
    first = next(replies)
    with show_rows(label, first.rows_to_scan) as show:
        for reply in replies:
            yield reply
            show(reply.rows_scanned)


def _list_archives(service: Any, limit: int | None) -> list[Archive]:
    found: list[Archive] = []
    token = ""
    while limit is None or len(found) < limit:
        left = _PAGE_SIZE if limit is None else limit - len(found)
        response: ListArchivesResponse = service.ListArchives(
            ListArchivesRequest(page_size=min(_PAGE_SIZE, left), page_token=token)
        )
        found += response.archives
        token = response.next_page_token
        if not token:
            break
    return found
