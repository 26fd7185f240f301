"""How long `/metrics` takes, and how large it is: `python -m benchmarks.metrics_page`.

Fifty features, ten models with a champion and a look for drift each, eight workers; every model has
been asked for a prediction, so that there is a series of everything. Asked every so often, as a
Prometheus would, of an engine with nothing to do and of one that answers calls meanwhile.
"""

import argparse
import itertools
import json
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import trio
import yaml

from benchmarks.measure import describe_machine, describe_spread, percentile
from benchmarks.startup import fill
from benchmarks.unary_load import Target, call_once, drive, spread_keys
from engine.clock import read_clock_us
from engine.learning.drift_records import Bins, DriftReport, FeatureDrift, rows_of_report
from engine.records import WriteRequest
from engine.store import StoreSettings, open_store
from proto.trellis.v1 import features_pb2
from tests.support.engine_process import EngineProcess
from tests.support.trained_version import add_versions

SERVICE = "/trellis.v1.FeatureService"
_ACTIONS = ("view", "click", "cart", "purchase")
_WINDOWS = ("1m", "5m", "15m", "1h", "24h")
_FEATURES_A_MODEL = 10
_FIRST_S = 60.0


def write_configs(folder: Path, models: int) -> None:
    """Write a configuration of fifty features and some models, ten features each."""
    features = {
        f"{action}s_{aggregate}_{window}": {
            "from": "events",
            "where": {"action": action},
            "aggregate": aggregate,
            "column": "value",
            "window": window,
        }
        for action, window, aggregate in itertools.product(_ACTIONS, _WINDOWS, ("sum", "max"))
    }
    for window in (*_WINDOWS, "2h", "3h", "6h", "12h", "7d"):
        features[f"events_{window}"] = {"from": "events", "aggregate": "count", "window": window}
    names = itertools.cycle(features)
    declared = {
        f"model_{number}": {
            "entity": "user",
            "features": sorted(itertools.islice(names, _FEATURES_A_MODEL)),
        }
        for number in range(models)
    }
    folder.mkdir()
    entities = {"user": {"key": "user_id", "type": "int64"}}
    for name, content in (
        ("app", {}),
        ("features", {"entities": entities, "features": features}),
        ("models", {"models": declared}),
    ):
        # JSON is YAML, and keeps long lists on lines of their own out of the way.
        (folder / f"{name}.yaml").write_text(json.dumps(content))


def report_drift(path: Path, config_dir: Path) -> None:
    """Give each model a look for drift, in a data file that no engine has open."""
    models = yaml.safe_load((config_dir / "models.yaml").read_text())["models"]

    async def write() -> None:
        async with open_store(StoreSettings(path)) as store:
            for name, spec in models.items():
                operations = rows_of_report(_make_report(name, spec["features"]))
                await store.writer.submit(WriteRequest(operations))

    trio.run(write)


def _make_report(model: str, features: list[str]) -> DriftReport:
    now_us = read_clock_us()
    bins = Bins(shares=[0.1] * 10, edges=[float(edge) for edge in range(9)])
    drifts = (
        FeatureDrift(
            feature=name,
            kind="number",
            reference_rows=1_000,
            current_rows=1_000,
            psi=0.01,
            ks_statistic=0.02,
            ks_p_value=0.5,
            chi_squared=None,
            chi_squared_p_value=None,
            adjusted_p_value=0.5,
            wasserstein=0.1,
            reference_missing_rate=0.0,
            current_missing_rate=0.0,
            new_categories=[],
            drifted=False,
            reasons=[],
            reference=bins,
            current=bins,
        )
        for name in (*features, "(prediction)")
    )
    return DriftReport(
        report_id=f"report-{model}",
        model=model,
        version=1,
        job_id=f"report-{model}",
        cause="call",
        checked_at_us=now_us,
        window_start_us=now_us - 60_000_000,
        window_end_us=now_us,
        rows=1_000,
        verdict="STABLE",
        features=tuple(drifts),
    )


def scrape(url: str, seconds: float, every_s: float) -> tuple[list[float], int, int]:
    """Return how long each answer took in milliseconds, the size of one, and its series."""
    times_ms = []
    with httpx.Client() as client:
        client.get(url)
        end_s = time.perf_counter() + seconds
        while time.perf_counter() < end_s:
            began_s = time.perf_counter()
            page = client.get(url).raise_for_status()
            times_ms.append((time.perf_counter() - began_s) * 1e3)
            time.sleep(every_s)
    series = sum(not line.startswith("#") for line in page.text.splitlines())
    return times_ms, len(page.content), series


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--every-s", type=float, default=0.1)
    parser.add_argument("--calls-per-s", type=float, default=1_000.0)
    parser.add_argument("--users", type=int, default=20_000)
    options = parser.parse_args()
    print(describe_machine())
    with tempfile.TemporaryDirectory() as folder:
        data, configs = Path(folder) / "data", Path(folder) / "configs"
        write_configs(configs, options.models)
        fill(data / "trellis.duckdb", 200_000, options.users)
        names = [f"model_{number}" for number in range(options.models)]
        for name in names:
            add_versions(data, configs, name)
        report_drift(data / "trellis.duckdb", configs)
        settings = [
            f"workers.max_python_workers={options.workers}",
            "workers.pools={serve: 1}",
        ]
        with EngineProcess(data, config_dir=configs, settings=settings) as engine:
            address = engine.address("service_b")
            for name in names:
                request = features_pb2.PredictRequest(model=name, entity_key=1)
                predict = Target(address, f"{SERVICE}/Predict", [request.SerializeToString()])
                call_once(predict, _FIRST_S)
            url = f"http://{engine.address('metrics')}/metrics"
            show("idle", *scrape(url, options.seconds, options.every_s))
            messages = [
                features_pb2.GetFeaturesRequest(model=names[0], entity_key=key).SerializeToString()
                for key in spread_keys(options.users, options.users)
            ]
            target = Target(address, f"{SERVICE}/GetFeatures", messages)
            with ThreadPoolExecutor() as beside:
                asked = beside.submit(
                    drive,
                    target,
                    in_flight=20,
                    seconds=options.seconds + 1,
                    calls_per_s=options.calls_per_s,
                )
                scraped = scrape(url, options.seconds, options.every_s)
                rate, latencies_s = asked.result()
            show(f"at {rate:,.0f} calls/s", *scraped)
            print(f"  p99 of these calls {percentile(latencies_s, 0.99) * 1e3:.1f} ms")
            engine.stop()


def show(when: str, times_ms: list[float], size_bytes: int, series: int) -> None:
    """Print the figures of one run."""
    print(f"/metrics, {when}: {describe_spread(times_ms, 'ms', 1)}")
    print(f"  p99 {percentile(times_ms, 0.99):.1f} ms; {size_bytes / 1e3:,.0f} kB, {series} series")


if __name__ == "__main__":
    main()
