"""`restore`: a backup becomes a data folder."""

from pathlib import Path

import click

from engine.cli.byte_progress import show_bytes
from engine.cli.command_lines import write_command
from engine.cli.examples import examples
from engine.cli.json_output import print_json
from engine.errors import TrellisError
from engine.store.backup_files import read_manifest
from engine.store.restoring import restore_backup

_FOLDER = click.Path(path_type=Path)


@click.command("restore", epilog=examples("restore /backups/monday data-of-monday"))
@click.argument("backup", metavar="BACKUP", type=_FOLDER)
@click.argument("folder", metavar="NEW_FOLDER", type=_FOLDER)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def restore(*, backup: Path, folder: Path, as_json: bool) -> None:
    """Make the data folder NEW_FOLDER of BACKUP: every byte and every table's rows are checked.

    NEW_FOLDER must not exist, or be empty; with an error nothing is left of it. No engine is
    touched.
    """
    try:
        size_bytes = sum(file.size_bytes for file in read_manifest(backup).files)
        with show_bytes("files", size_bytes) as show:
            restored = restore_backup(backup, folder.absolute(), show)
    except OSError as error:
        raise TrellisError(f"the backup cannot be restored: {error}") from error
    if as_json:
        facts = {
            "path": str(folder),
            "commit_seq": restored.commit_seq,
            "rows": restored.rows,
            "files": restored.files,
        }
        print_json(facts)
        return
    click.echo(
        f"{folder}: commit {restored.commit_seq:,}, {restored.rows:,} rows, "
        f"{restored.files} files, all as they were\n"
        f"to run an engine on it: {write_command(data_dir=folder)}"
    )
