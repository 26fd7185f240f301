"""MLServer's scikit-learn runtime as a peer of `benchmarks.predict`."""

import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.unary_load import Target, call_once
from proto.inference import open_inference_grpc_pb2 as oip

MODEL = "ten_features"
_SCRIPT = Path(__file__).parent / "predict_peers" / "mlserver_model.py"
_START_S = 120.0


@contextmanager
def mlserver(python: str, features: int) -> Iterator[Target]:
    """Start MLServer with a logistic regression; yield what asks it, once it answers.

    Args:
      python: an interpreter that has `mlserver-sklearn`.
    """
    http_port, grpc_port = _free_ports(2)
    with tempfile.TemporaryDirectory() as folder:
        written = [python, str(_SCRIPT), folder, str(features), str(http_port), str(grpc_port)]
        subprocess.run(written, check=True)
        with (Path(folder) / "mlserver.log").open("wb") as log:
            process = subprocess.Popen(
                [python, "-m", "mlserver.cli.main", "start", folder], stdout=log, stderr=log
            )
            try:
                target = Target(
                    f"127.0.0.1:{grpc_port}",
                    "/inference.GRPCInferenceService/ModelInfer",
                    [_message(features)],
                )
                call_once(target, _START_S)
                yield target
            finally:
                process.terminate()
                process.wait()


def _message(features: int) -> bytes:
    row = oip.ModelInferRequest.InferInputTensor(
        name="row",
        datatype="FP64",
        shape=[1, features],
        contents=oip.InferTensorContents(fp64_contents=[0.5] * features),
    )
    row.parameters["content_type"].string_param = "np"
    return oip.ModelInferRequest(model_name=MODEL, inputs=[row]).SerializeToString()


def _free_ports(count: int) -> list[int]:
    """Return ports that were free just now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
