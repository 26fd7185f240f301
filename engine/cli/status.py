"""`status`: how a running engine is doing."""

import datetime
import http.client
import json
import sys
from typing import Any, Final

import click
from prometheus_client.parser import text_string_to_metric_families

from engine.cli.examples import examples
from engine.cli.json_output import print_json
from engine.cli.options import CommonOptions, common_options
from engine.cli.running import RunningEngine, find_engine
from engine.cli.tables import print_table
from engine.errors import UnavailableError

_TIMEOUT_S: Final = 5.0

# What of the metrics is worth a line here: name in the metrics, name for people.
_SHOWN: Final = {
    "trellis_intake_events_total": "events",
    "trellis_intake_rejected_total": "messages refused",
    "trellis_intake_lag_messages": "lag (messages)",
    "trellis_commit_seq": "last commit",
    "trellis_writer_queue_rows": "rows waiting to be written",
    "trellis_store_file_bytes": "data file (bytes)",
    "trellis_store_wal_bytes": "write-ahead log (bytes)",
    "trellis_online_entities": "entities in memory",
    "trellis_online_bytes": "bytes of entities",
    "trellis_backend_restarts_total": "restarts of embedded servers",
}


_WORKERS: Final = "trellis_workers"


@click.command("status", epilog=examples("status", "status --json", "--data data status"))
@common_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def status(options: CommonOptions, /, *, as_json: bool) -> None:
    """Show the parts, the addresses and the main counters of the engine on the data folder.

    Exit code 0 means ready; 1 that a required part is not working, or that no engine runs.
    """
    engine = find_engine(options.load().paths.data)
    health = json.loads(_get(engine, "/readyz"))
    exposition = _get(engine, "/metrics").decode()
    counters, workers = sum_metrics(exposition), count_workers(exposition)
    if as_json:
        facts = {**health, "engine": engine.facts, "workers": workers, "metrics": counters}
        print_json(facts)
    else:
        _print(engine, health, workers, counters)
    sys.exit(0 if health["ready"] else 1)


def _get(engine: RunningEngine, path: str) -> bytes:
    host, port = engine.address("metrics")
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(
            f"the engine (pid {engine.facts['pid']}) does not answer at "
            f"http://{host}:{port}{path}: {error or type(error).__name__}; its log says more"
        ) from error
    finally:
        connection.close()
    if response.status not in (200, 503):
        raise UnavailableError(
            f"http://{host}:{port}{path} answers {response.status}; is it this engine?"
        )
    return body


def sum_metrics(exposition: str) -> dict[str, float]:
    """Return the shown metrics by name, summed over their labels."""
    totals: dict[str, float] = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            if sample.name in _SHOWN:
                totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
    return totals


def count_workers(exposition: str) -> dict[str, int]:
    """Return how many slots are in each state, leaving out states that none is in."""
    return {
        sample.labels["state"]: int(sample.value)
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
        if sample.name == _WORKERS and sample.value
    }


def _print(
    engine: RunningEngine,
    health: dict[str, Any],
    workers: dict[str, int],
    counters: dict[str, float],
) -> None:
    started = datetime.datetime.fromisoformat(engine.facts["started_at"])
    up = datetime.datetime.now(datetime.UTC) - started
    state = "ready" if health["ready"] else "not ready"
    up_s = datetime.timedelta(seconds=int(up.total_seconds()))
    click.echo(f"{state}, pid {engine.facts['pid']}, up {up_s}\n")
    print_table(
        ("part", "state", "required", "detail"),
        [
            (
                name,
                "ok" if part["ok"] else "not ok",
                "yes" if part["required"] else "no",
                part["detail"],
            )
            for name, part in health["parts"].items()
        ],
    )
    click.echo()
    addresses = {
        name: fact
        for name, fact in engine.facts.items()
        if name not in {"pid", "started_at", "topic"}
    }
    print_table(("server", "address"), addresses.items())
    click.echo()
    print_table(
        ("counter", "value"),
        [
            *((_SHOWN[name], f"{counters[name]:,.0f}") for name in _SHOWN if name in counters),
            ("workers", ", ".join(f"{count} {name}" for name, count in sorted(workers.items()))),
        ],
    )
