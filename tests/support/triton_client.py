"""Asks an engine as a user of the Open Inference Protocol does; run by a Python that has
`tritonclient[grpc]`, which needs an older protobuf than Trellis. Prints what it finds as JSON.
"""

import json
import sys

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException


def tensor(name: str, datatype: str, values: np.ndarray) -> triton.InferInput:
    given = triton.InferInput(name, list(values.shape), datatype)
    given.set_data_from_numpy(values)
    return given


def main(address: str) -> None:
    client = triton.InferenceServerClient(address)
    metadata = client.get_model_metadata("buys")
    by_key = client.infer("buys", [tensor("entity_key", "INT64", np.array([7, 8, 9]))])
    texts = np.array([b"view", b"caf\xc3\xa9"], dtype=object)
    rows = [
        tensor("views", "INT64", np.array([1, 500])),
        tensor("spend", "FP64", np.array([[1.5], [float("nan")]])),
        tensor("last_action", "BYTES", texts),
    ]
    by_row = client.infer("buys", rows, model_version="2", request_id="mine")
    only = client.infer("buys", rows, outputs=[triton.InferRequestedOutput("score")])
    refusals = []
    for given in (rows[:2], [tensor("entity_key", "FP64", np.array([1.0]))]):
        try:
            client.infer("buys", given)
        except InferenceServerException as error:
            refusals.append([error.status(), error.message()])
    found = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": [client.is_model_ready("buys"), client.is_model_ready("none")],
        "server": client.get_server_metadata().name,
        "versions": list(metadata.versions),
        "inputs": [[one.name, one.datatype, list(one.shape)] for one in metadata.inputs],
        "outputs": [[one.name, one.datatype, list(one.shape)] for one in metadata.outputs],
        "keys": {
            "score": by_key.as_numpy("score").tolist(),
            "label": [one.decode() for one in by_key.as_numpy("label")],
        },
        "rows": {
            "id": by_row.get_response().id,
            "version": by_row.get_response().model_version,
            "probabilities": by_row.as_numpy("probabilities").tolist(),
            "classes": [one.decode() for one in by_row.as_numpy("classes")],
            "score": by_row.as_numpy("score").tolist(),
        },
        "only": [one.name for one in only.get_response().outputs],
        "refusals": refusals,
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
