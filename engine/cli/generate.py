"""`generate`: events for a running engine, or for any Kafka."""

import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import click
import trio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from engine.cli.console import compute_summary
from engine.cli.examples import examples
from engine.cli.options import CommonOptions, Duration, common_options, given, traffic_options
from engine.cli.running import find_engine
from engine.config import KafkaConfig
from engine.generator import GeneratorSettings, GeneratorStats, run_generator
from engine.intake.kafka import open_bridge, open_producer, prepare_topics

_PROGRESS_INTERVAL_S: Final = 0.2


@attrs.frozen
class _Target:
    """The Kafka to send to; an `engine.intake.broker.Broker` of which nothing more is known."""

    bootstrap_servers: str
    embedded: bool = False
    incarnation: str | None = None


@click.command(
    "generate",
    epilog=examples(
        "generate --events 10000",
        "generate --events-per-second 500 --duration 5m --drift-at 2m",
        "generate --bootstrap-servers kafka.internal:9092 --events 100 --log sent.jsonl",
    ),
)
@common_options
@traffic_options
@click.option("--events", type=click.IntRange(min=1), metavar="N", help="Stop after N events.")
@click.option(
    "--duration", "duration_s", type=Duration(), metavar="DURATION", help="Stop after so long."
)
@click.option(
    "--replay",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Send a recorded file instead: CSV with a header, or one JSON object a line.",
)
@click.option(
    "--log",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    metavar="FILE",
    help="Append each acknowledged message's key fields and SHA-256 to FILE, one JSON a line.",
)
@click.option(
    "--bootstrap-servers",
    metavar="HOST:PORT",
    help="Kafka to send to; default: that of the engine running on the data folder.",
)
@click.pass_obj
def generate(options: CommonOptions, /, *, bootstrap_servers: str | None, **wanted: Any) -> None:
    """Send synthetic shop traffic, or a recorded file, until a limit or Ctrl-C.

    With --log and Kafka elsewhere than in the engine this is an independent record of what an
    engine has to hold. A row of a recorded file that cannot be an event is named with its line and
    skipped; the exit code is 1 when every row is, or when something was not acknowledged.
    """
    settings = GeneratorSettings(**given(wanted))
    config = options.load()
    kafka = config.kafka
    if bootstrap_servers is None:
        engine = find_engine(config.paths.data)
        bootstrap_servers = engine.kafka
        kafka = attrs.evolve(kafka, topic=engine.topic)
    stats = GeneratorStats()
    finished = trio.run(partial(_generate, kafka, _Target(bootstrap_servers), settings, stats))
    click.echo(
        compute_summary(
            [
                ("events sent", stats.acknowledged),
                ("malformed messages", stats.malformed),
                ("rows skipped", stats.skipped_rows),
                ("messages not acknowledged", stats.unacknowledged),
            ]
        )
    )
    nothing_fitted = stats.skipped_rows and not stats.acknowledged
    if finished and (stats.unacknowledged or nothing_fitted):
        sys.exit(1)


async def _generate(
    kafka: KafkaConfig, target: _Target, settings: GeneratorSettings, stats: GeneratorStats
) -> bool:
    """Send until the limit (True) or until told to stop (False)."""
    async with trio.open_nursery() as nursery:
        await nursery.start(_cancel_on_signal, nursery.cancel_scope)
        async with open_bridge():
            await prepare_topics(kafka, target, {kafka.topic: kafka.partitions})
            async with open_producer(kafka, target) as producer:
                nursery.start_soon(_show_progress, settings, stats)
                send = partial(producer.send_many, kafka.topic)
                await run_generator(settings, send, stats=stats)
        nursery.cancel_scope.cancel()
        return True
    return False


async def _cancel_on_signal(
    scope: trio.CancelScope, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            scope.cancel()
            return


async def _show_progress(settings: GeneratorSettings, stats: GeneratorStats) -> None:
    """Show a progress bar on a terminal until cancelled."""
    console = Console(stderr=True)
    if not console.is_terminal:
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,.0f} events/s"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as progress:
        what = "generating" if settings.replay is None else f"replaying {settings.replay.name}"
        task = progress.add_task(what, total=settings.events, rate=0.0)
        before = 0
        while True:
            await trio.sleep(_PROGRESS_INTERVAL_S)
            rate = (stats.acknowledged - before) / _PROGRESS_INTERVAL_S
            before = stats.acknowledged
            progress.update(task, completed=stats.acknowledged, rate=rate)
            progress.refresh()
