"""`check-config`: what the configuration amounts to, and where each value came from."""

import json

import attrs
import click

from engine.cli.checks import check_formulas
from engine.cli.examples import examples
from engine.cli.json_output import print_json
from engine.cli.options import CommonOptions, common_options
from engine.cli.tables import print_table
from engine.config import describe_config


@click.command(
    "check-config",
    epilog=examples("check-config", "check-config --set log.level=debug", "check-config --json"),
)
@common_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def check_config(options: CommonOptions, /, *, as_json: bool) -> None:
    """Check the configuration and show every setting with its origin.

    Secrets are shown as ***. With anything wrong, all of it is listed and the exit code is 2.
    """
    rows = describe_config(options.load([check_formulas]))
    if as_json:
        print_json([attrs.asdict(row) for row in rows])
        return
    print_table(("setting", "origin", "value"), [(r.key, r.origin, _show(r.value)) for r in rows])


def _show(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
