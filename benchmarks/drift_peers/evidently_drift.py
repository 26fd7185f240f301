"""Evidently's default preset on the samples, in the environment of the peers.

`times ROWS FEATURES RUNS` prints wall and CPU seconds of each run, `verdicts` whether each pair of
samples has drifted; both as JSON.
"""

import json
import sys
import time
from importlib.metadata import version
from typing import Any

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

from benchmarks.drift_samples import pairs, window


def measure(rows: int, features: int, runs: int) -> dict[str, Any]:
    """Time the preset; data frames are made beforehand, and one run warms it up."""
    reference = pd.DataFrame(window(rows, features, seed=1))
    current = pd.DataFrame(window(rows, features, seed=2, shift=0.1))
    times = []
    for _ in range(runs + 1):
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        Report([DataDriftPreset()]).run(current, reference).dict()
        times.append([time.perf_counter() - began_s, time.process_time() - began_cpu_s])
    return {"evidently": version("evidently"), "times": times[1:]}


def judge() -> dict[str, Any]:
    """Ask for each pair alone, so that one does not sway another."""
    verdicts = {}
    for pair in pairs():
        numeric = pair.reference.dtype.kind == "f"
        columns = {"numerical_columns" if numeric else "categorical_columns": ["x"]}
        before, after = (
            Dataset.from_pandas(
                pd.DataFrame({"x": side if numeric else side.astype(object)}),
                data_definition=DataDefinition(**columns),
            )
            for side in (pair.reference, pair.current)
        )
        found = Report([DataDriftPreset()], include_tests=True).run(after, before).dict()
        score = next(
            one for one in found["metrics"] if one["config"]["type"].endswith(":ValueDrift")
        )
        (test,) = [
            one for one in found["tests"] if one["metric_config"]["metric_id"] == score["id"]
        ]
        verdicts[pair.name] = {
            "method": score["config"]["method"],
            "score": float(score["value"]),
            "drifted": test["status"] == "FAIL",
        }
    return {"evidently": version("evidently"), "verdicts": verdicts}


def main() -> None:
    """Do what the command line says."""
    match sys.argv[1:]:
        case ["times", rows, features, runs]:
            print(json.dumps(measure(int(rows), int(features), int(runs))))
        case ["verdicts"]:
            print(json.dumps(judge()))
        case other:
            raise SystemExit(f"times ROWS FEATURES RUNS or verdicts, not {other}")


if __name__ == "__main__":
    main()
