"""Kafka to committed rows with ten window features: `python -m benchmarks.intake`."""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.measure import describe_machine, describe_spread, read_metrics, resident_mib
from benchmarks.produce import fill_topic
from tests.support.broker_process import BrokerProcess
from tests.support.engine_process import EngineProcess

CONFIGS = Path(__file__).parent / "configs"


def metric(engine: EngineProcess, name: str) -> float:
    """Read one unlabelled metric of a running engine."""
    for line in read_metrics(engine.address("metrics")).splitlines():
        if line.startswith(f"{name} "):
            return float(line.split(" ")[1])
    return 0.0


def measure_once(
    events: int, users: int, seed: int, environment: Mapping[str, str] | None = None
) -> tuple[float, list[float]]:
    """Return committed events per second, and resident MiB at each quarter of the run."""
    with tempfile.TemporaryDirectory() as folder, BrokerProcess() as broker:
        asyncio.run(fill_topic(broker.bootstrap_servers, events, users=users, seed=seed))
        settings = (f"kafka.bootstrap_servers={broker.bootstrap_servers}", "kafka.group_id=null")
        with EngineProcess(
            Path(folder) / "data", config_dir=CONFIGS, settings=settings, environment=environment
        ) as engine:
            started_s = time.perf_counter()
            memory: list[float] = []
            while (done := metric(engine, "trellis_intake_events_total")) < events:
                if done >= events * (len(memory) + 1) / 4:
                    memory.append(resident_mib(engine.pid))
                time.sleep(0.1)
            seconds = time.perf_counter() - started_s
            memory.append(resident_mib(engine.pid))
            engine.stop()
    return events / seconds, memory


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print(describe_machine())
    rates = []
    for run in range(options.runs):
        rate, memory = measure_once(options.events, options.users, seed=run)
        rates.append(rate)
        quarters = ", ".join(f"{mib:.0f}" for mib in memory)
        print(f"run {run + 1}: {rate:,.0f} events/s; engine's memory by quarters: {quarters} MiB")
    print(f"Kafka to committed rows: {describe_spread(rates, 'events/s', 0)}")


if __name__ == "__main__":
    main()
