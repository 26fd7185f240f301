"""What MLServer serves: `python mlserver_model.py FOLDER FEATURES HTTP_PORT GRPC_PORT`.

Run by an interpreter that has `mlserver-sklearn`. A logistic regression of as many features as the
one beside it; what it was fitted on does not matter to how fast it answers.
"""

import json
import sys
from pathlib import Path

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression


def main() -> None:
    """Write the model and the settings that `mlserver start FOLDER` reads."""
    folder, features = Path(sys.argv[1]), int(sys.argv[2])
    random = np.random.default_rng(1)
    model = LogisticRegression().fit(random.random((400, features)), random.random(400) < 0.5)
    joblib.dump(model, folder / "model.joblib")
    settings = {
        "host": "127.0.0.1",
        "http_port": int(sys.argv[3]),
        "grpc_port": int(sys.argv[4]),
        "metrics_endpoint": None,
        "debug": False,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    served = {
        "name": "ten_features",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "./model.joblib"},
    }
    (folder / "model-settings.json").write_text(json.dumps(served))


if __name__ == "__main__":
    main()
