"""A training is the same in any process, however many threads it has."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
import hashlib, json, sys
from engine.tasks.artifacts import load_pipeline
from engine.tasks.train import run
from tests.support.training_rows import PlayedJob, make_payload, make_rows

found = {}
for name, task, label, parameters in json.loads(sys.argv[1]):
    rows = make_rows(label)
    job = PlayedJob(rows, make_payload(name, task, parameters=parameters))
    result = run(job)
    predicted = load_pipeline(job.stored["pipeline"]).predict(rows.drop_columns(["label"]))
    found[name] = {
        "metrics": result["metrics"],
        "importance": result["importance"],
        "predictions": hashlib.sha256(predicted.score.tobytes()).hexdigest(),
        "artifact": result["artifact"]["sha256"],
        "reference": result["reference"]["sha256"],
    }
print(json.dumps(found))
"""
TRAININGS = [
    ["LogisticRegression", "classification", "bool", {}],
    ["RandomForestClassifier", "classification", "string", {"n_estimators": 5}],
    ["HistGradientBoostingClassifier", "classification", "bool", {"max_iter": 10}],
    ["HistGradientBoostingRegressor", "regression", "double", {"max_iter": 10}],
    ["Ridge", "regression", "double", {}],
]


def train(threads: int) -> dict[str, dict[str, object]]:
    counts = dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads)
    )
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(TRAININGS)],
        env={**os.environ, **counts, "PYTHONHASHSEED": str(threads), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2_000:]
    return json.loads(ran.stdout)


def test_another_process_with_more_threads_trains_the_same() -> None:
    assert train(3) == train(1)
