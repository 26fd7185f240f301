"""`run`: the engine, until it is told to stop."""

import logging
import os
import sys
from functools import partial
from typing import Any, Final

import click
import trio
from rich.console import Console

from engine.app import run_engine
from engine.cli.checks import check_formulas
from engine.cli.console import print_banner, read_stats, run_live_line
from engine.cli.examples import examples
from engine.cli.options import CommonOptions, common_options, given, traffic_options
from engine.cli.streams import OutputLostError, discard
from engine.config import EngineConfig
from engine.generator import GeneratorSettings
from engine.private_files import refuse_as_administrator
from engine.ready import ReadyInfo
from engine.tracing import TraceSettings, read_trace_settings

logger = logging.getLogger(__name__)

_DEMO_USERS: Final = 50
"""So few that whichever user is asked for has done something within seconds."""


@click.command(
    "run",
    epilog=examples(
        "", "run --demo", "--data /srv/trellis --set log.format=json", "--demo --users 200"
    ),
)
@common_options
@click.option("--demo", is_flag=True, help="Give the engine synthetic traffic of its own.")
@traffic_options
@click.pass_obj
def run(options: CommonOptions, /, *, demo: bool, **traffic: Any) -> None:
    """Run the engine until SIGINT or SIGTERM; a second one stops it at once.

    SIGHUP stops it too when it was started from a terminal, else replaces its workers one by one.

    Prints one line, `ready ` and a JSON object with every address, once everything is up. The
    traffic options go with --demo.
    """
    wanted = given(traffic)
    if wanted and not demo:
        name = next(iter(wanted)).removesuffix("_s").replace("_", "-")
        raise click.UsageError(f"--{name} goes with --demo (or with the command generate)")
    # The demo's broker is the engine's own: when it restarts, traffic goes on afterwards.
    wanted = {"users": _DEMO_USERS, **wanted, "give_up_after_s": None}
    settings = GeneratorSettings(**wanted) if demo else None
    config = options.load([check_formulas])
    refuse_as_administrator(config.paths.data)
    trio.run(partial(_run, config, settings, read_trace_settings(os.environ)))


async def _run(
    config: EngineConfig, demo: GeneratorSettings | None, traces: TraceSettings | None
) -> None:
    """Run the engine, and beside it the live line where somebody watches."""
    console = Console(stderr=True)
    async with trio.open_nursery() as nursery:

        def announce(info: ReadyInfo) -> None:
            # On a terminal too: whoever waits for this line need not know what it is written to.
            _write_ready_line(info)
            if console.is_terminal:
                nursery.start_soon(_show_life, console, info)

        await run_engine(config, demo=demo, on_ready=announce, traces=traces)
        nursery.cancel_scope.cancel()


def _write_ready_line(info: ReadyInfo) -> None:
    """Write the line, or say in the log that nobody can read it; the engine runs all the same."""
    try:
        sys.stdout.write(f"ready {info.as_json()}\n")
        sys.stdout.flush()
    except OutputLostError as error:
        discard(sys.stdout)
        logger.warning("ready line not written", extra={"detail": str(error)})


async def _show_life(console: Console, info: ReadyInfo) -> None:
    """Show the banner and the live line until cancelled, or until the terminal has gone."""
    try:
        print_banner(console, info)
        await run_live_line(read_stats, console)
    except OSError as error:
        logger.warning("live line ended", extra={"detail": error.strerror})
