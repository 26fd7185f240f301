"""MLServer's scikit-learn runtime as a peer of `benchmarks.predict`."""

import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.unary_load import Target, call_once
from proto.inference import open_inference_grpc_pb2 as oip

MODEL = "ten_features"
_SCRIPT = Path(__file__).parent / "predict_peers" / "mlserver_model.py"
_START_S = 120.0
_POLL_S = 0.1


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
                _wait_until_ready(target.address)
                yield target
            finally:
                # Asked to stop, it stops serving, and may stay.
                process.kill()
                process.wait()


def _wait_until_ready(address: str) -> None:
    asked = oip.ModelReadyRequest(name=MODEL).SerializeToString()
    target = Target(address, "/inference.GRPCInferenceService/ModelReady", [asked])
    give_up_s = time.monotonic() + _START_S
    while not oip.ModelReadyResponse.FromString(call_once(target, _START_S)).ready:
        if time.monotonic() > give_up_s:
            raise TimeoutError("MLServer has not loaded its model")
        time.sleep(_POLL_S)


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
