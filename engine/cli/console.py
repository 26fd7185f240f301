"""What a person at a terminal sees of a running engine: a banner, then one live line."""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Final

import attrs
import trio
from prometheus_client import metrics as prometheus
from rich.console import Console
from rich.live import Live
from rich.text import Text

from engine import metrics
from engine.jobs import JobState
from engine.models import CHALLENGER, CHAMPION
from engine.ready import ReadyInfo
from engine.uploads import UPLOAD_JOB_TYPE
from engine.workers.views import SlotState

_INTERVAL_S: Final = 0.5
_MOST_MODELS: Final = 3
"""Of more there is no room in a line; `python main.py models` has them all."""
_EMPTY: Final = (SlotState.WAITING, SlotState.PARKED, SlotState.STUCK, SlotState.DRAINED)
"""States of slots in which there is no worker."""

_ADDRESSES: Final = (
    ("service_b", "features, models", "grpc://"),
    ("service_a", "uploads, intake", "grpc://"),
    ("service_d", "jobs, workers", "grpc://"),
    ("metrics", "metrics, health", "http://"),
)


@attrs.frozen
class ModelStats:
    """What answers for a model that learns, and whether its input has drifted.

    Attributes:
      champion: the version that answers; 0 if there is none.
      challenger: the version that waits; 0 if there is none.
      drifted: what the last look found; None before the first one.
    """

    champion: int
    challenger: int = 0
    drifted: bool | None = None


@attrs.frozen
class EngineStats:
    """Readings of a moment; the live line shows what changed between two.

    Attributes:
      events: events committed since the start.
      rejected: messages refused since the start.
      lag_messages: messages that are not yet committed.
      commits: transactions since the start, and how long they took together.
      entities: entities in memory.
      restarts: restarts of embedded servers since the start.
      workers: worker processes that are there, of which busy ones have a job in hand.
      parked: slots whose workers failed too often.
      replaced: workers since the start that ended and were replaced.
      jobs: jobs that have ended since the start.
      uploads: of these, uploaded files whose rows were taken.
      models: models that have learnt, by name.
    """

    events: float
    rejected: float
    lag_messages: float
    commits: float
    commit_seconds: float
    entities: float
    restarts: float
    workers: float
    busy: float
    parked: float
    replaced: float
    jobs: float
    uploads: float
    models: Mapping[str, ModelStats] = MappingProxyType({})


def read_stats() -> EngineStats:
    """Read this process's own metrics."""
    slots = _by_label(metrics.WORKERS, "state")
    return EngineStats(
        events=_total(metrics.INTAKE_EVENTS, "_total"),
        rejected=_total(metrics.INTAKE_REJECTED, "_total"),
        lag_messages=_total(metrics.INTAKE_LAG),
        commits=_total(metrics.WRITER_COMMIT_SECONDS, "_count"),
        commit_seconds=_total(metrics.WRITER_COMMIT_SECONDS, "_sum"),
        entities=_total(metrics.ONLINE_ENTITIES),
        restarts=_total(metrics.BACKEND_RESTARTS, "_total"),
        workers=sum(count for state, count in slots.items() if state not in _EMPTY),
        busy=slots.get(SlotState.RUNNING, 0.0),
        parked=slots.get(SlotState.PARKED, 0.0),
        replaced=_total(metrics.WORKER_RESTARTS, "_total"),
        jobs=_total(metrics.JOBS_FINISHED, "_total"),
        uploads=_total(
            metrics.JOBS_FINISHED,
            "_total",
            {"job_type": UPLOAD_JOB_TYPE, "state": JobState.SUCCEEDED},
        ),
        models=_read_models(),
    )


def _read_models() -> dict[str, ModelStats]:
    versions: dict[str, dict[str, int]] = {}
    for labels, value in _series(metrics.MODEL_VERSION):
        versions.setdefault(labels["model"], {})[labels["alias"]] = int(value)
    drifted = {labels["model"]: bool(value) for labels, value in _series(metrics.DRIFTED)}
    return {
        name: ModelStats(at.get(CHAMPION, 0), at.get(CHALLENGER, 0), drifted.get(name))
        for name, at in sorted(versions.items())
    }


def _total(
    metric: prometheus.MetricWrapperBase,
    suffix: str = "",
    labels: Mapping[str, str] = MappingProxyType({}),
) -> float:
    """Return a metric's value, summed over its series with these labels."""
    return sum(
        sample.value
        for family in metric.collect()
        for sample in family.samples
        if sample.name == family.name + suffix and labels.items() <= sample.labels.items()
    )


def _by_label(metric: prometheus.MetricWrapperBase, label: str) -> dict[str, float]:
    """Return a gauge's values by its one label."""
    return {labels[label]: value for labels, value in _series(metric)}


def _series(metric: prometheus.MetricWrapperBase) -> Iterable[tuple[Mapping[str, str], float]]:
    return ((one.labels, one.value) for family in metric.collect() for one in family.samples)


def compute_line(before: EngineStats, now: EngineStats, elapsed_s: float) -> str:
    """Return the live line for the time between two readings."""
    events_per_s = (now.events - before.events) / elapsed_s if elapsed_s > 0 else 0.0
    commits = now.commits - before.commits
    commit_ms = (now.commit_seconds - before.commit_seconds) / commits * 1e3 if commits else None
    parts = [
        f"{events_per_s:,.0f} events/s",
        f"lag {now.lag_messages:,.0f}",
        "commit –" if commit_ms is None else f"commit {commit_ms:.1f} ms",
        f"{now.entities:,.0f} entities",
        f"{now.workers:,.0f} workers, {now.busy:,.0f} busy",
        f"{now.jobs:,.0f} jobs",
        f"{now.uploads:,.0f} uploads",
    ]
    parts += [_show_model(name, model) for name, model in islice(now.models.items(), _MOST_MODELS)]
    for count, meaning in (
        (now.rejected, "refused"),
        (now.replaced, "replaced"),
        (now.parked, "parked"),
        (now.restarts, "servers restarted"),
    ):
        if count:
            parts.append(f"{count:,.0f} {meaning}")
    return "  ·  ".join(parts)


def _show_model(name: str, model: ModelStats) -> str:
    shown = f"{name} v{model.champion}" if model.champion else f"{name} without champion"
    if model.challenger:
        shown += f", challenger v{model.challenger}"
    if model.drifted is not None:
        shown += ", drifted" if model.drifted else ", stable"
    return shown


async def run_live_line(
    read: Callable[[], EngineStats], console: Console, *, interval_s: float = _INTERVAL_S
) -> None:
    """Show the live line until cancelled; log lines scroll by above it.

    Args:
      read: returns the readings of the moment.
      console: the terminal.
      interval_s: time between two readings.
    """
    before, before_s = read(), trio.current_time()
    # Redrawn from here only: the display's own thread would draw in the middle of a log line.
    with Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False) as live:
        while True:
            await trio.sleep(interval_s)
            now, now_s = read(), trio.current_time()
            live.update(Text(compute_line(before, now, now_s - before_s)), refresh=True)
            before, before_s = now, now_s


def print_banner(console: Console, info: ReadyInfo) -> None:
    """Print where the engine is reached."""
    console.print(Text("Trellis is running", style="bold"), Text(f"(pid {info.pid})", style="dim"))
    rows = [
        (meaning, f"{scheme}{info.addresses[port]}")
        for port, meaning, scheme in _ADDRESSES
        if port in info.addresses
    ]
    for name, address in (*rows, ("events", f"kafka://{info.kafka}, topic {info.topic}")):
        console.print(Text(f"  {name:<18}", style="dim"), Text(address, style="cyan"))
    console.print(Text("  Ctrl-C stops it in order, a second one at once", style="dim"))


def compute_summary(pairs: Iterable[tuple[str, float]]) -> str:
    """Return counts in one line, leaving out what is zero but for the first."""
    shown = [
        f"{count:,.0f} {name}" for index, (name, count) in enumerate(pairs) if index == 0 or count
    ]
    return ", ".join(shown)
