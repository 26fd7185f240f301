"""What metrics and logs cost: `python -m benchmarks.observing`.

The same engine twice, as it is and with metrics and logs taken out of it (`unobserved`), asked and
fed in turns, so that what else the machine does hits both alike. The order changes with each turn.

Two processes differ by more than what is looked for. So it is also counted on `/metrics` how often
a call observes and increments, and timed how long that takes.
"""

import argparse
import tempfile
import timeit
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import attrs
import psutil
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.intake import measure_once
from benchmarks.measure import cpu_s, describe_machine, describe_spread, read_metrics
from benchmarks.startup import fill
from benchmarks.unary_load import Target, drive, spread_keys
from engine import metrics
from proto.trellis.v1 import features_pb2
from tests.support.engine_process import EngineProcess

CONFIGS = Path(__file__).parent / "configs"
METHOD = "/trellis.v1.FeatureService/GetFeatures"
UNOBSERVED: Mapping[str, str] = {"PYTHONPATH": str(Path(__file__).parent / "unobserved")}


@attrs.define
class Samples:
    """Of one engine, a sample a run."""

    calls_per_s: list[float] = attrs.Factory(list)
    call_cpu_us: list[float] = attrs.Factory(list)
    events_per_s: list[float] = attrs.Factory(list)

    def call(self, target: Target, process: psutil.Process, in_flight: int, seconds: float) -> None:
        """Take a sample of calls: their rate, and the engine's CPU time for each."""
        before_s = cpu_s(process)
        rate, latencies_s = drive(target, in_flight=in_flight, seconds=seconds)
        self.calls_per_s.append(rate)
        self.call_cpu_us.append((cpu_s(process) - before_s) / len(latencies_s) * 1e6)


def count_operations(engine: EngineProcess) -> tuple[float, float]:
    """Return how often a duration was observed, and anything incremented, since the start."""
    page = read_metrics(engine.address("metrics"))
    samples = [
        sample
        for family in text_string_to_metric_families(page)
        if family.name.startswith("trellis_")
        for sample in family.samples
    ]
    return (
        sum(sample.value for sample in samples if sample.name.endswith("_seconds_count")),
        sum(sample.value for sample in samples if sample.name.endswith("_total")),
    )


def time_operations() -> tuple[float, float]:
    """Return how long it takes to observe a call's duration and to count its read, in us."""
    times = 200_000
    call = metrics.RPC_SECONDS.labels("FeatureService", "GetFeatures", "OK")
    read = metrics.ONLINE_READS.labels("online")
    return (
        min(timeit.repeat(lambda: call.observe(0.002), number=times)) / times * 1e6,
        min(timeit.repeat(read.inc, number=times)) / times * 1e6,
    )


def describe_operations(
    engine: EngineProcess, target: Target, in_flight: int, seconds: float
) -> str:
    """Say how often a call observes and increments, and how long that takes."""
    before = count_operations(engine)
    _, latencies_s = drive(target, in_flight=in_flight, seconds=seconds)
    observed, incremented = (
        (now - then) / len(latencies_s)
        for now, then in zip(count_operations(engine), before, strict=True)
    )
    observe_us, increment_us = time_operations()
    return (
        f"a call observes {observed:.2f} times and increments {incremented:.2f} times, which takes "
        f"{observed * observe_us + increment_us * incremented:.2f} us"
    )


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--in-flight", type=int, default=100)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--intake-runs", type=int, default=3)
    options = parser.parse_args()
    print(describe_machine())
    observed, unobserved = Samples(), Samples()
    both: tuple[tuple[Samples, Mapping[str, str]], ...] = (
        (observed, {}),
        (unobserved, UNOBSERVED),
    )
    messages = [
        features_pb2.GetFeaturesRequest(model="ten_features", entity_key=key).SerializeToString()
        for key in spread_keys(options.users, options.users)
    ]
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        engines = []
        for samples, environment in both:
            data = folder / f"data{len(engines)}"
            fill(data / "trellis.duckdb", options.events, options.users)
            engine = running.enter_context(
                EngineProcess(data, config_dir=CONFIGS, environment=environment)
            )
            target = Target(engine.address("service_b"), METHOD, messages)
            drive(target, in_flight=options.in_flight, seconds=1.0)
            if samples is observed:
                print(describe_operations(engine, target, options.in_flight, options.seconds))
            engines.append((samples, target, psutil.Process(engine.pid)))
        for _ in range(options.runs):
            for samples, target, process in engines:
                samples.call(target, process, options.in_flight, options.seconds)
            engines.reverse()
    for run in range(options.intake_runs):
        for samples, environment in both if run % 2 else both[::-1]:
            rate, _ = measure_once(options.events, options.users, run, environment)
            samples.events_per_s.append(rate)
    for name, unit, digits in (
        ("calls_per_s", "calls/s", 0),
        ("call_cpu_us", "us of CPU a call", 1),
        ("events_per_s", "events/s", 0),
    ):
        ours, theirs = getattr(observed, name), getattr(unobserved, name)
        print(f"as it is: {describe_spread(ours, unit, digits)}")
        print(f"without metrics and logs: {describe_spread(theirs, unit, digits)}")
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        print(f"  ratio {describe_spread(ratios, 'times', 3)}")


if __name__ == "__main__":
    main()
