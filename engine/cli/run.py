"""`run`: the engine, until it is told to stop."""

import sys
from functools import partial
from typing import Any, Final

import click
import trio
from rich.console import Console

from engine.app import run_engine
from engine.cli.checks import check_formulas
from engine.cli.console import print_banner, read_stats, run_live_line
from engine.cli.options import CommonOptions, common_options, given, traffic_options
from engine.config import EngineConfig
from engine.generator import GeneratorSettings
from engine.ready import ReadyInfo

_DEMO_USERS: Final = 50
"""So few that whichever user is asked for has done something within seconds."""


@click.command("run")
@common_options
@click.option("--demo", is_flag=True, help="Give the engine synthetic traffic of its own.")
@traffic_options
@click.pass_obj
def run(options: CommonOptions, /, *, demo: bool, **traffic: Any) -> None:
    """Run the engine until SIGINT or SIGTERM; a second one stops it at once.

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
    trio.run(partial(_run, options.load([check_formulas]), settings))


async def _run(config: EngineConfig, demo: GeneratorSettings | None) -> None:
    """Run the engine, and beside it the live line where somebody watches."""
    console = Console(stderr=True)
    async with trio.open_nursery() as nursery:

        def announce(info: ReadyInfo) -> None:
            # On a terminal too: whoever waits for this line need not know what it is written to.
            sys.stdout.write(f"ready {info.as_json()}\n")
            sys.stdout.flush()
            if console.is_terminal:
                print_banner(console, info)
                nursery.start_soon(run_live_line, read_stats, console)

        await run_engine(config, demo=demo, on_ready=announce)
        nursery.cancel_scope.cancel()
