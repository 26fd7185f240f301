"""A training over millions of events, and reads meanwhile: `python -m benchmarks.training`.

From the call to the new version's registration: training set as of each observation, fit, metrics
with their intervals, artifact, promotion. `GetFeatures` is asked at a steady rate all the while,
before and during it.
"""

import argparse
import shutil
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.engine_calls import EngineCalls
from benchmarks.measure import describe_machine, describe_spread, percentile
from benchmarks.startup import CONFIGS, fill
from benchmarks.unary_load import Target, drive, spread_keys
from proto.trellis.v1 import features_pb2
from tests.support.engine_process import EngineProcess

MODEL = "ten_features"
METHOD = "/trellis.v1.FeatureService/GetFeatures"
LEARNING = """
    label: {where: {action: purchase}, within: 1h}
    observations: {every: 30m, last: 20h, active: 1h, most_rows: 200000}
    drift: {every: 24h}
    policy: {metric: log_loss, on_drift: false, promote: manual}
"""
_POLL_S = 0.05
_GIVE_UP_S = 600.0


def write_configs(folder: Path) -> None:
    """Write the benchmarks' settings, the model with something to learn."""
    shutil.copytree(CONFIGS, folder)
    models = folder / "models.yaml"
    models.write_text(models.read_text().rstrip() + LEARNING)


def wait_for(calls: EngineCalls, job_id: str) -> None:
    """Wait until the job has succeeded at its first attempt."""
    give_up_s = time.monotonic() + _GIVE_UP_S
    while not (job := calls.get_job(job_id)).HasField("finished_at"):
        if time.monotonic() > give_up_s:
            raise TimeoutError(f"the training has not ended: {job}")
        time.sleep(_POLL_S)
    if len(job.attempts) != 1 or not job.result_json:
        raise RuntimeError(f"the training has failed: {job}")


class SteadyReads:
    """Asks for features at a steady rate from a thread; a latency sample a call."""

    def __init__(self, target: Target, calls_per_s: float) -> None:
        self._target = target
        self._calls_per_s = calls_per_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.latencies_s: list[float] = []

    def __enter__(self) -> "SteadyReads":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            _, found = drive(self._target, in_flight=8, seconds=1.0, calls_per_s=self._calls_per_s)
            self.latencies_s += found


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--calls-per-s", type=float, default=200.0)
    options = parser.parse_args()
    print(describe_machine())
    messages = [
        features_pb2.GetFeaturesRequest(model=MODEL, entity_key=key).SerializeToString()
        for key in spread_keys(20_000, options.users)
    ]
    times_s, before_ms, during_ms, ratios = [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        data, configs = Path(folder) / "data", Path(folder) / "configs"
        write_configs(configs)
        fill(data / "trellis.duckdb", options.events, options.users)
        with (
            EngineProcess(data, config_dir=configs) as engine,
            EngineCalls(engine) as calls,
        ):
            target = Target(engine.address("service_b"), METHOD, messages)
            # A model without a champion is trained at once: this waits for it, and counts it not.
            wait_for(calls, calls.retrain(MODEL))
            for _ in range(options.runs):
                with SteadyReads(target, options.calls_per_s) as reads:
                    time.sleep(10.0)
                before_ms.append(percentile(reads.latencies_s, 0.99) * 1e3)
                with SteadyReads(target, options.calls_per_s) as reads:
                    began_s = time.perf_counter()
                    wait_for(calls, calls.retrain(MODEL))
                    times_s.append(time.perf_counter() - began_s)
                during_ms.append(percentile(reads.latencies_s, 0.99) * 1e3)
                ratios.append(during_ms[-1] / before_ms[-1])
            engine.stop()
    print(f"training over {options.events:,} events: {describe_spread(times_s, 's')}")
    print(f"GetFeatures at {options.calls_per_s:.0f}/s:")
    print(f"  p99 before {describe_spread(before_ms, 'ms', 1)}")
    print(f"  p99 meanwhile {describe_spread(during_ms, 'ms', 1)}")
    print(f"  ratio {describe_spread(ratios, 'times')}")


if __name__ == "__main__":
    main()
