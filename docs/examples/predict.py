"""Asks a running engine for a prediction as any gRPC client would.

Usage: python docs/examples/predict.py DATA_FOLDER MODEL ENTITY_KEY
"""

import json
import sys
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).parents[2]))  # where `proto` is

from proto.trellis.v1.features_pb2 import PredictRequest, PredictResponse


def main(data_folder: str, model: str, entity_key: str) -> None:
    engine = json.loads(Path(data_folder, "engine.json").read_text())
    with grpc.insecure_channel(engine["service_b"]) as channel:
        predict = channel.unary_unary(
            "/trellis.v1.FeatureService/Predict",
            request_serializer=PredictRequest.SerializeToString,
            response_deserializer=PredictResponse.FromString,
        )
        request = PredictRequest(model=model, entity_key=int(entity_key))
        answer = predict(request, timeout=5, wait_for_ready=True)
    for one in answer.prediction.probabilities:
        sys.stdout.write(f"{one.label}: {one.probability:.4f}\n")
    sys.stdout.write(f"by version {answer.model_version}, {answer.prediction.prediction_id}\n")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
