"""`compact`: the data file of a stopped engine, without the room of what was deleted."""

import click

from engine.cli.byte_progress import show_bytes
from engine.cli.json_output import print_json
from engine.cli.options import CommonOptions, common_options
from engine.config import EngineConfig
from engine.private_files import refuse_as_administrator
from engine.store.restoring import DATA_FILE
from engine.store.settings import StoreSettings


@click.command("compact", epilog="Example: python main.py --data data compact")
@common_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def compact(options: CommonOptions, /, *, as_json: bool) -> None:
    """Write the data file of a stopped engine anew, so that it takes no more room than its rows.

    Only the disk gains: an engine uses the room of deleted rows for new ones by itself. The new
    file takes the old one's place when every row was found in it; until then the disk must hold
    both.
    """
    # Imported only here: DuckDB takes a while that `--help` saves.
    from engine.store.compacting import compact_data_file, count_stored_rows  # noqa: PLC0415

    settings = _settings(options.load())
    refuse_as_administrator(settings.path.parent)
    rows = count_stored_rows(settings)
    with show_bytes("rows", rows) as show:
        done = compact_data_file(settings, show)
    if as_json:
        facts = {
            "path": str(settings.path),
            "before_bytes": done.before_bytes,
            "after_bytes": done.after_bytes,
            "rows": done.rows,
        }
        print_json(facts)
        return
    click.echo(
        f"{settings.path}: {done.rows:,} rows in {done.after_bytes:,} bytes, "
        f"before {done.before_bytes:,}"
    )


def _settings(config: EngineConfig) -> StoreSettings:
    return StoreSettings(
        path=config.paths.data / DATA_FILE,
        memory_limit_bytes=config.duckdb.memory_limit_bytes,
        threads=config.duckdb.threads,
    )
