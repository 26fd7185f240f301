"""A look for drift beside Evidently and numpy with scipy: `python -m benchmarks.drift`.

`--verdicts` asks Evidently about the pairs of samples instead and writes what a test compares with.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import attrs
import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import ks_2samp, wasserstein_distance

from benchmarks.drift_job import PAYLOAD, REFERENCE, RESULT, WINDOW
from benchmarks.drift_samples import window
from benchmarks.measure import describe_machine
from benchmarks.peer_venv import find_python
from engine.config import DriftSpec
from engine.config.sections import ThresholdsConfig
from engine.tasks.drift.stability import LEAST_SHARE
from engine.tasks.reference import make_reference
from engine.tasks.reference_file import write_reference

ROOT = Path(__file__).resolve().parents[1]
VERDICTS = ROOT / "tests" / "unit" / "tasks" / "drift" / "evidently_verdicts.json"

FEATURES = 20
ROWS = 100_000
MANY_ROWS = 1_000_000
SHIFT = 0.1
_BATCH_ROWS = 65_536
_EQUAL = 1e-9

Columns = dict[str, NDArray[np.float64]]


@attrs.frozen
class Times:
    """Of runs of one kind, seconds."""

    wall_s: list[float]
    cpu_s: list[float]

    def __str__(self) -> str:
        spread = f"{min(self.wall_s):.3f} to {max(self.wall_s):.3f}, n={len(self.wall_s)}"
        cpu = statistics.median(self.cpu_s)
        return f"{statistics.median(self.wall_s):.3f} s ({spread}), {cpu:.3f} s of CPU time"

    def times_slower(self, other: "Times") -> str:
        """Return how many times longer than the other this takes."""
        wall = statistics.median(self.wall_s) / statistics.median(other.wall_s)
        cpu = statistics.median(self.cpu_s) / statistics.median(other.cpu_s)
        return f"{wall:.1f} times as long, {cpu:.1f} times the CPU time"


def make_job(folder: Path, rows: int) -> tuple[Columns, Columns]:
    """Write what a job needs into the folder; return the training set and the window."""
    reference, current = window(rows, FEATURES, seed=1), window(rows, FEATURES, seed=2, shift=SHIFT)
    made = write_reference(make_reference(pa.table(reference), seed=1))
    (folder / REFERENCE).write_bytes(made)
    table = pa.table(current)
    with pa.ipc.new_stream(folder / WINDOW, table.schema) as writer:
        writer.write_table(table, max_chunksize=_BATCH_ROWS)
    defaults, thresholds = DriftSpec(), ThresholdsConfig()
    payload = {
        "model": "bench",
        "version": 1,
        "features": list(current),
        "window_start_us": 0,
        "window_end_us": 1,
        "thresholds": {
            "psi": thresholds.psi,
            "ks_statistic": thresholds.ks_statistic,
            "missing_rate": thresholds.missing_rate,
            "alpha": defaults.alpha,
            "share": defaults.share,
            "least_rows": defaults.least_rows,
        },
    }
    (folder / PAYLOAD).write_bytes(msgspec.json.encode(payload))
    return reference, current


def run_job(folder: Path, runs: int) -> tuple[Times, dict[str, Any]]:
    """Do the job in a process of its own; return its times and what it says of its memory."""
    said = _call(sys.executable, "benchmarks.drift_job", str(folder), str(runs))
    return _times(said["times"]), said


def run_evidently(python: str, runs: int) -> tuple[Times, str]:
    """Time Evidently's default preset on the same columns; return its version, too."""
    arguments = ("times", str(ROWS), str(FEATURES), str(runs))
    said = _call(python, "benchmarks.drift_peers.evidently_drift", *arguments)
    return _times(said["times"]), said["evidently"]


def run_scipy(reference: Columns, current: Columns, runs: int) -> tuple[Times, dict[str, Any]]:
    """Time numpy's PSI and `ks_2samp`, a feature at a time; return the scores, too.

    The Wasserstein distance, which the job takes as well, is not timed here.
    """
    times, scores = [], {}
    for _ in range(runs):
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        for name, before in reference.items():
            after = current[name]
            found = ks_2samp(before, after)
            scores[name] = {
                "psi": _plain_psi(before, after),
                "ks_statistic": float(found.statistic),
                "ks_p_value": float(found.pvalue),
            }
        times.append([time.perf_counter() - began_s, time.process_time() - began_cpu_s])
    for name, before in reference.items():
        area = wasserstein_distance(before, current[name])
        scores[name]["wasserstein"] = float(area / np.std(before))
    return _times(times), scores


def _plain_psi(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    edges = np.quantile(before, np.arange(1, 10) / 10, method="inverted_cdf")
    # Without ties it does not matter which end of a bin is open, but for the edges themselves.
    bounds = np.concatenate(([-np.inf], np.nextafter(edges, np.inf), [np.inf]))
    shares = [
        np.maximum(np.histogram(side, bounds)[0] / len(side), LEAST_SHARE)
        for side in (before, after)
    ]
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


def check_equal(folder: Path, expected: dict[str, Any]) -> float:
    """Return the largest difference between the job's scores and the expected ones.

    Raises:
      RuntimeError: it is more than 1e-9.
    """
    result = msgspec.json.decode((folder / RESULT).read_bytes())
    scores = {one["feature"]: one for one in result["features"]}
    largest = max(
        abs(scores[name][score] - value)
        for name, wanted in expected.items()
        for score, value in wanted.items()
    )
    if largest > _EQUAL:
        raise RuntimeError(f"scores differ by {largest}")
    return float(largest)


def write_verdicts(python: str) -> None:
    """Ask Evidently about every pair of samples and keep its answers for the tests."""
    said = _call(python, "benchmarks.drift_peers.evidently_drift", "verdicts")
    made = {"made_by": "python -m benchmarks.drift --verdicts", **said}
    VERDICTS.write_text(json.dumps(made, indent=1) + "\n")
    print(f"{len(said['verdicts'])} verdicts of Evidently {said['evidently']} in {VERDICTS}")


def _call(python: str, module: str, *arguments: str) -> dict[str, Any]:
    command = [python, "-m", module, *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def _times(pairs: list[list[float]]) -> Times:
    return Times([wall for wall, _ in pairs], [cpu for _, cpu in pairs])


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--peers-python", help="an interpreter with requirements-drift-peers.txt")
    parser.add_argument("--verdicts", action="store_true", help="write what a test compares with")
    options = parser.parse_args()
    python = find_python("drift-peers", options.peers_python)
    if options.verdicts:
        write_verdicts(python)
        return
    print(describe_machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference, current = make_job(folder, ROWS)
        job, _ = run_job(folder, options.runs)
        print(f"{ROWS:,} rows x {FEATURES} features, PSI, KS, Wasserstein: {job}")
        plain, scores = run_scipy(reference, current, options.runs)
        difference = check_equal(folder, scores)
        print(f"numpy PSI and ks_2samp: {plain}; {plain.times_slower(job)}")
        print(f"largest difference of a score: {difference:.1e}")
        peer, version = run_evidently(python, options.runs)
        print(f"Evidently {version}, default preset: {peer}; {peer.times_slower(job)}")
        del reference, current
        make_job(folder, MANY_ROWS)
        job, said = run_job(folder, options.runs)
        memory = f"peak {said['peak_mib']:.0f} MiB, of which {said['before_mib']:.0f} before it"
        print(f"{MANY_ROWS:,} rows x {FEATURES} features: {job}; {memory}")


if __name__ == "__main__":
    main()
